"""The audit (S20): it fails closed, and `verify` names what was done to it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from model.clock import FakeClock
from model.codes import Word
from model.errors import AuditUnwritable, SchemaTooNew, StoreError, UsageError
from model.grant import Purpose
from store.audit import AUDIT_ACTIONS, MIGRATIONS, AuditLog, _row_hash, purpose_text
from store.database import Where, connect, transaction
from store.database.dialect import migration
from tests.postgres import told

PROJECT = Path(__file__).parents[2]
#: A table of somebody who has thrown ours away.
_CREATE = next(migration(MIGRATIONS[0]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def place(where: Callable[[str], Where]) -> Where:
    return where("audit")


@pytest.fixture
def audit(place: Where, folder: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(place, folder=folder, clock=FakeClock())) as audit:
        yield audit


def fill(audit: AuditLog, count: int, start: int = 1) -> None:
    for number in range(start, start + count):
        action = "series.track" if number % 2 else "series.latest"
        detail = {"rows": number, "via": "socket"}
        assert audit.append(f"user{number % 3}", "cli", action, f"taxi/{number}", "patrol", detail) == number


def change(place: Where, *statements: str) -> None:
    """What somebody with the database in hand does."""
    with closing(connect(place)) as connection, transaction(connection):
        for statement in statements:
            connection.execute(statement)


def verdict(place: Where, folder: Path | None = None) -> str:
    """What `verify` says on an audit that nobody has open: "" for nothing."""
    with closing(AuditLog(place, folder=folder, clock=FakeClock(), read_only=True)) as audit:
        problem = audit.verify()
    if problem is None:
        return ""
    assert problem.mend
    return f"{problem.place}: {problem.what}".replace(place.name, "audit.db")


def test_rows_come_back(audit: AuditLog) -> None:
    assert audit.last_number() == 0
    assert audit.rows() == []
    fill(audit, 7)
    rows = audit.rows()
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    first = rows[0]
    assert (first.who, first.role, first.action, first.target, first.purpose) == (
        "user1",
        "cli",
        "series.track",
        "taxi/1",
        "patrol",
    )
    assert first.detail == {"rows": 1, "via": "socket"}
    assert first.time_ms == FakeClock().now_ms()
    assert [row.number for row in audit.rows(after=3, limit=2)] == [4, 5]
    assert [row.number for row in audit.rows(newest_first=True, limit=2)] == [7, 6]
    assert [row.number for row in audit.rows(newest_first=True, after=6, limit=2)] == [5, 4]
    assert [row.number for row in audit.rows(who="user0")] == [3, 6]
    assert [row.number for row in audit.rows(action="series.latest", after=2)] == [4, 6]
    assert [row.number for row in audit.rows(who="user0", action="series.latest")] == [6]
    assert audit.rows(who="' OR 1=1 --") == []
    assert audit.last_number() == 7
    assert audit.verify() is None
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            audit.rows(limit=limit)


def test_every_action_has_words_in_both_languages() -> None:
    for name, word in AUDIT_ACTIONS.items():
        assert isinstance(word, Word)
        assert word.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in word.zh), name


def test_purpose_as_text() -> None:
    for purpose in (
        Purpose("patrol"),
        Purpose("case", "C-7"),
        Purpose("case", "", "a note: long"),
        Purpose("case", "C", "n"),
    ):
        assert Purpose.parse(purpose_text(purpose)) == purpose
    assert purpose_text(Purpose("patrol")) == "patrol"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("u", "cli", "read.everything", "t", "", {}), "no audit action"),
        (("u" * 201, "cli", "series.track", "t", "", {}), "longer than 200"),
        (("u", "r" * 201, "series.track", "t", "", {}), "longer than 200"),
        (("u", "cli", "series.track", "t" * 1_001, "", {}), "longer than 1000"),
        (("u", "cli", "series.track", "t", "p" * 601, {}), "longer than 600"),
        (("u", "cli", "series.track", "t", "", {"x": "y" * 16_384}), "longer than 16384"),
        (("u", "cli", "series.track", "t", "", {"x": object()}), "no JSON"),
        (("u", "cli", "series.track", "t", "", {"x": float("nan")}), "no JSON"),
    ],
)
def test_what_is_not_audited(audit: AuditLog, arguments: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        audit.append(*arguments)
    assert audit.last_number() == 0
    fill(audit, 1)  # a refused row does no harm


def test_texts_of_any_kind_are_kept_and_chained(audit: AuditLog) -> None:
    who = os.fsdecode(b"m\xfcller\n\x00\xff")  # a user name that is no UTF-8
    audit.append(
        who, "值班员", "series.track", "taxi/'\";--", "case:李:\u202e", {"键": "值\u2028", "n": [1, None, True, 1.5]}
    )
    assert audit.verify() is None
    row = audit.rows()[0]
    assert row.who == "m\\udcfcller\n\\x00\\udcff"
    assert (row.role, row.target) == ("值班员", "taxi/'\";--")
    assert row.detail == {"键": "值\u2028", "n": [1, None, True, 1.5]}


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_a_row_is_there_before_append_returns(audit: AuditLog, path: Path, tmp_path: Path) -> None:
    fill(audit, 3)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("audit.db", "audit.db-wal"):
        shutil.copy(path.with_name(name), crashed)
    assert verdict(crashed / "audit.db") == ""
    with closing(AuditLog(crashed / "audit.db", clock=FakeClock())) as again:
        assert again.last_number() == 3


def test_several_processes_and_threads_make_one_chain(audit: AuditLog, place: Where, folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.postgres import where_told; from model.clock import SystemClock; from store.audit import AuditLog\n"
        "audit = AuditLog(where_told(sys.argv[1]), folder=Path(sys.argv[2]), clock=SystemClock(), checkpoint_rows=7)\n"
        "for n in range(25): audit.append(sys.argv[3], 'cli', 'series.track', f'taxi/{n}', 'test', {})\n"
        "audit.close()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    others = [
        subprocess.Popen([sys.executable, "-c", script, told(place), str(folder), f"p{n}"], env=environment)
        for n in range(2)
    ]

    def append(name: str) -> None:
        for number in range(25):
            audit.append(name, "cli", "series.track", f"taxi/{number}", "test", {})

    threads = [threading.Thread(target=append, args=(f"t{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [other.wait(60) for other in others] == [0, 0]
    assert audit.verify() is None
    assert audit.last_number() == 100
    for who in ("p0", "p1", "t0", "t1"):
        assert [row.target for row in audit.rows(who=who)] == [f"taxi/{n}" for n in range(25)]


# --- unwritable: no audit, no data ---


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditUnwritable) as raised:
        AuditLog(tmp_path / "file" / "audit.db", clock=FakeClock())
    assert raised.value.mend
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(AuditUnwritable):
        AuditLog(tmp_path / "folder.db", clock=FakeClock())


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(8_192))
    with pytest.raises(AuditUnwritable):
        AuditLog(path, clock=FakeClock())
    assert "damaged" in verdict_of_broken(path)


def verdict_of_broken(path: Path) -> str:
    try:
        return verdict(path)
    except StoreError as error:
        return str(error)


def test_a_file_that_may_only_be_read(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    with closing(AuditLog(path, clock=FakeClock())) as audit:
        fill(audit, 1)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(AuditUnwritable):
            AuditLog(path, clock=FakeClock()).append("u", "cli", "series.track", "taxi/1", "test", {})
    finally:
        path.parent.chmod(0o700)


def test_a_disk_that_fails_is_final(path: Path) -> None:
    """A real write error: files may not grow any more. Later appends are refused although the disk is back."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from model.clock import SystemClock\n"
        "from model.errors import AuditUnwritable\n"
        "from store.audit import AuditLog\n"
        "audit = AuditLog(Path(sys.argv[1]), clock=SystemClock())\n"
        "def append():\n"
        "    try: print(audit.append('u', 'cli', 'series.track', 'taxi/1', 'test', {}))\n"
        "    except AuditUnwritable: print('refused')\n"
        "append()\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))\n"
        "append()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "append()\n"
        "audit.close()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["1", "refused", "refused"], ran.stderr
    assert verdict(path) == ""
    with closing(AuditLog(path, clock=FakeClock())) as audit:
        fill(audit, 1, start=2)


def test_read_only_closed_and_newer(place: Where, folder: Path, where: Callable[[str], Where]) -> None:
    audit = AuditLog(place, folder=folder, clock=FakeClock())
    fill(audit, 1)
    with closing(AuditLog(place, folder=folder, clock=FakeClock(), read_only=True)) as reader:
        assert reader.last_number() == 1
        with pytest.raises(AuditUnwritable, match="reading only"):
            reader.append("u", "cli", "series.track", "t", "", {})
    audit.close()
    audit.close()
    with pytest.raises(AuditUnwritable, match="closed"):
        audit.append("u", "cli", "series.track", "t", "", {})
    newer = "PRAGMA user_version = 99" if isinstance(place, Path) else "UPDATE lucheng_schema SET version = 99"
    change(place, newer)
    with pytest.raises(SchemaTooNew):
        AuditLog(place, folder=folder, clock=FakeClock())
    with pytest.raises(StoreError, match="There is no"):
        AuditLog(where("other"), folder=folder, clock=FakeClock(), read_only=True)


# --- tampering ---


def rewrite_chain(place: Where, first: int) -> None:
    """Edit row `first` and make every later hash fit again, as somebody who knows the format would."""
    with closing(connect(place)) as connection, transaction(connection):
        connection.execute("UPDATE audit SET who = 'nobody' WHERE n = ?", (first,))
        rows = connection.execute("SELECT * FROM audit WHERE n >= ? ORDER BY n", (first,)).fetchall()
        prev_hash = rows[0][8]
        for row in rows:
            row_hash = _row_hash(*row[:2], *(text.encode() for text in row[2:8]), prev_hash)
            connection.execute("UPDATE audit SET prev_hash = ?, hash = ? WHERE n = ?", (prev_hash, row_hash, row[0]))
            prev_hash = row_hash


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (("UPDATE audit SET who = 'nobody' WHERE n = 4",), "audit.db row 4: row 4 was changed"),
        (("UPDATE audit SET time_ms = time_ms + 1 WHERE n = 1",), "audit.db row 1: row 1 was changed"),
        (("UPDATE audit SET detail = '{}' WHERE n = 10",), "audit.db row 10: row 10 was changed"),
        (
            ("UPDATE audit SET target = target || purpose, purpose = '' WHERE n = 4",),
            "audit.db row 4: row 4 was changed",
        ),
        (("UPDATE audit SET hash = prev_hash WHERE n = 4",), "audit.db row 4: row 4 was changed"),
        (("DELETE FROM audit WHERE n = 4",), "audit.db row 4: row 4 is gone"),
        (("DELETE FROM audit WHERE n <= 2",), "audit.db row 1: row 1 is gone"),
        (("DELETE FROM audit WHERE n > 7",), "audit.db row 8: row 8 is gone, like those up to 10"),
        (("DELETE FROM audit",), "audit.db row 1: row 1 is gone, like those up to 10"),
        (
            ("DELETE FROM audit WHERE n = 4", "UPDATE audit SET n = n - 1 WHERE n > 4"),
            "audit.db row 4: row 4 does not follow the row before it",
        ),
        (
            (
                "UPDATE audit SET n = 99 WHERE n = 4",
                "UPDATE audit SET n = 4 WHERE n = 5",
                "UPDATE audit SET n = 5 WHERE n = 99",
            ),
            "audit.db row 4: row 4 does not follow the row before it",
        ),
        (("UPDATE audit SET n = 0 WHERE n = 10",), "audit.db row 0: row 0 does not belong there"),
    ],
)
def test_verify_names_the_first_bad_row(place: Where, folder: Path, tamper: tuple[str, ...], expected: str) -> None:
    with closing(AuditLog(place, folder=folder, clock=FakeClock())) as audit:
        fill(audit, 10)
    assert verdict(place, folder) == ""
    change(place, *tamper)
    assert verdict(place, folder) == expected


def test_bytes_that_are_no_text_are_found(path: Path) -> None:
    with closing(AuditLog(path, clock=FakeClock())) as audit:
        fill(audit, 10)
    change(path, "UPDATE audit SET who = CAST(x'ff' AS TEXT) WHERE n = 3")
    assert verdict(path) == "audit.db row 3: row 3 was changed"


def test_a_chain_made_anew_is_caught_by_its_checkpoint(place: Where, folder: Path) -> None:
    with closing(AuditLog(place, folder=folder, clock=FakeClock(), checkpoint_rows=5)) as audit:
        fill(audit, 17)
    rewrite_chain(place, 7)
    assert verdict(place, folder) == "audit.db row 6: row 6 or one up to 10 was changed and the chain made anew"


@pytest.mark.parametrize(
    "tamper",
    [
        lambda place: change(place, "DELETE FROM audit WHERE n > 7"),
        lambda place: change(place, "DELETE FROM audit"),
        lambda place: rewrite_chain(place, 7),
        lambda place: place.unlink() if isinstance(place, Path) else change(place, "DROP TABLE audit", _CREATE),
    ],
    ids=["tail", "all", "anew", "file"],
)
def test_opening_fails_closed_when_last_rows_are_not_what_was_signed(
    place: Where, folder: Path, tamper: Callable[[Where], None]
) -> None:
    with closing(AuditLog(place, folder=folder, clock=FakeClock())) as audit:
        fill(audit, 10)
    tamper(place)
    with pytest.raises(AuditUnwritable, match="Row 10") as raised:
        AuditLog(place, folder=folder, clock=FakeClock())
    assert "lucheng audit verify" in raised.value.mend


@pytest.mark.parametrize("tamper", ["DELETE FROM audit WHERE n > 2", "UPDATE audit SET who = 'nobody' WHERE n = 4"])
def test_appending_fails_closed_when_the_last_rows_change_meanwhile(
    audit: AuditLog, place: Where, folder: Path, tamper: str
) -> None:
    fill(audit, 4)
    change(place, tamper)
    with pytest.raises(AuditUnwritable, match="changed or deleted"):
        audit.append("u", "cli", "series.track", "t", "", {})


def test_checkpoints_that_were_tampered_with(place: Where, folder: Path) -> None:
    with closing(AuditLog(place, folder=folder, clock=FakeClock(), checkpoint_rows=2)) as audit:
        fill(audit, 6)
    checkpoints = folder / "audit.checkpoints"
    lines = checkpoints.read_text().splitlines(keepends=True)
    assert [line.split()[0] for line in lines] == ["2", "4", "6"]
    checkpoints.write_text(lines[0] + lines[1].replace("4", "5", 1) + lines[2])
    assert verdict(place, folder) == "audit.checkpoints line 2: the signature does not hold"
    checkpoints.write_text(lines[0] + "anything\n")
    assert verdict(place, folder) == "audit.checkpoints line 2: the signature does not hold"
    checkpoints.write_text("x" * 2_000)
    assert verdict(place, folder) == "audit.checkpoints line 1: the signature does not hold"
    checkpoints.write_text("".join(lines) + lines[0][:50])  # a power cut in the middle of a line
    assert verdict(place, folder) == ""
    with closing(AuditLog(place, folder=folder, clock=FakeClock(), checkpoint_rows=2)) as audit:
        fill(audit, 1, start=7)
    assert [line.split()[0] for line in checkpoints.read_text().splitlines()] == ["2", "4", "6", "7"]
    assert verdict(place, folder) == ""


def test_the_key_is_needed_and_private(place: Where, folder: Path) -> None:
    with closing(AuditLog(place, folder=folder, clock=FakeClock())) as audit:
        fill(audit, 2)
    key_file = folder / "keys" / "audit.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    key = key_file.read_bytes()
    key_file.unlink()
    assert "audit.key" in verdict(place, folder)
    audit = AuditLog(place, folder=folder, clock=FakeClock())
    fill(audit, 1, start=3)
    with pytest.raises(AuditUnwritable, match=r"audit\.key"):
        audit.close()  # no new key in silence: old checkpoints could no longer be verified
    key_file.write_bytes(bytes(32))
    assert verdict(place, folder) == "audit.checkpoints line 1: the signature does not hold"
    key_file.write_bytes(key[:7])
    assert "no key of 32 bytes" in verdict(place, folder)
    key_file.write_bytes(key)
    assert verdict(place, folder) == ""


def test_checkpoints_can_be_verified_with_the_public_key_alone(place: Where, folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with closing(AuditLog(place, folder=folder, clock=FakeClock())) as audit:
        fill(audit, 3)
        audit.checkpoint()
        public_key = Ed25519PublicKey.from_public_bytes(audit.public_key())
    number, time_ms, row_hash, signature = (folder / "audit.checkpoints").read_text().split()
    assert number == "3"
    message = b"lucheng audit checkpoint\0" + f"{number} {time_ms} ".encode() + bytes.fromhex(row_hash)
    public_key.verify(bytes.fromhex(signature), message)


def test_damage_anywhere_is_found_or_harmless(path: Path, tmp_path: Path) -> None:
    """A flipped bit: rows are either all as they were, or `verify` says so."""
    with closing(AuditLog(path, clock=FakeClock())) as audit:
        fill(audit, 60)
        right = audit.rows()
    content = path.read_bytes()
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    found = 0
    for _ in range(60):
        damage = bytearray(content)
        damage[chance.randrange(len(damage))] ^= 1 << chance.randrange(8)
        path.write_bytes(damage)
        if verdict_of_broken(path) == "":
            with closing(AuditLog(path, clock=FakeClock(), read_only=True)) as audit:
                assert audit.rows() == right
        else:
            found += 1
    assert found > 0
