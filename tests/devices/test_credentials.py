"""Credentials: random, shown once, kept as mosquitto keeps them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.credentials import Credential, Credentials, hash_password, password_matches
from devices.registry import Registry
from model.errors import Conflict, LuchengError, NotFound, UsageError
from tests.conftest import need_program


def test_a_password_is_128_random_bits_and_kept_hashed(
    registry: Registry, credentials: Credentials, tmp_path: Path
) -> None:
    registry.ensure([f"taxi/{n}" for n in range(50)])
    made = list(credentials.issue_many([f"taxi/{n}" for n in range(50)]))
    assert len({credential.password for credential in made}) == 50
    for credential in made:
        assert len(base64.urlsafe_b64decode(credential.password + "==")) == 16
        assert credentials.verify(credential.user, credential.password)
        assert credential.password not in repr(credential)
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [c for c in made if c.password.encode() in everything]


def test_the_life_of_a_credential(registry: Registry, credentials: Credentials) -> None:
    registry.add("taxi/1")
    assert not credentials.has("taxi/1")
    first = credentials.issue("taxi/1")
    assert credentials.has("taxi/1")
    with pytest.raises(Conflict, match="Rotate"):
        credentials.issue("taxi/1")
    second = credentials.rotate("taxi/1")
    assert not credentials.verify("taxi/1", first.password)
    assert credentials.verify("taxi/1", second.password)
    registry.disable("taxi/1")
    assert not credentials.verify("taxi/1", second.password)
    registry.enable("taxi/1")
    assert credentials.verify("taxi/1", second.password)
    credentials.revoke("taxi/1")
    assert not credentials.verify("taxi/1", second.password)
    with pytest.raises(NotFound):
        credentials.revoke("taxi/1")
    with pytest.raises(NotFound):
        credentials.issue("taxi/2")


def test_a_deleted_devices_credential_is_not_its_successors(registry: Registry, credentials: Credentials) -> None:
    registry.add("taxi/1")
    old = credentials.issue("taxi/1")
    registry.delete("taxi/1")
    registry.add("taxi/1")
    assert not credentials.verify("taxi/1", old.password)
    assert credentials.verify("taxi/1", credentials.issue("taxi/1").password)


def test_many_at_once(registry: Registry) -> None:
    credentials = Credentials(registry.file, chunk_rows=3)
    ids = [f"ebike/{n}" for n in range(10)]
    registry.ensure(ids)
    first = credentials.issue("ebike/4")
    made = list(credentials.issue_many([*ids, *ids]))
    assert [credential.user for credential in made] == [device for device in ids if device != "ebike/4"]
    assert credentials.verify("ebike/4", first.password)
    with pytest.raises(NotFound, match="ebike/99"):
        list(credentials.issue_many(["ebike/99"]))
    with pytest.raises(UsageError):
        list(credentials.issue_many(["../x"]))


def test_accounts_and_devices_cannot_be_mixed_up(registry: Registry, credentials: Credentials) -> None:
    account = credentials.renew_account("lucheng")
    assert credentials.verify("lucheng", account.password)
    again = credentials.renew_account("lucheng")
    assert not credentials.verify("lucheng", account.password)
    assert credentials.verify("lucheng", again.password)
    alarms = credentials.renew_account("lucheng-alarms", same_as=again)
    assert alarms.password == again.password
    assert credentials.verify("lucheng-alarms", again.password)
    for name in ("taxi/1", "", "a:b", "a\nb", "Lucheng", "x" * 33, "+", "../a"):
        with pytest.raises(UsageError):
            credentials.renew_account(name)


def test_the_hash_is_the_one_mosquitto_makes(tmp_path: Path) -> None:
    """Mosquitto's own tool wrote the file; our check reads it. (The other way round: test_broker_files.)"""
    program = need_program("mosquitto_passwd")
    path = tmp_path / "passwords"
    subprocess.run([program, "-c", "-b", str(path), "someone", "p4ss-wörd"], check=True, capture_output=True)
    stored = path.read_text().strip().partition(":")[2]
    assert stored.startswith("$7$")
    assert password_matches("p4ss-wörd", stored)
    assert not password_matches("p4ss-word", stored)
    ours = hash_password("p4ss-wörd", 101)
    assert [len(part) for part in ours.split("$")] == [len(part) for part in stored.split("$")]


@pytest.mark.parametrize("iterations", [0, -1, 1_000_001])
def test_iterations_have_a_range(registry: Registry, iterations: int) -> None:
    with pytest.raises(UsageError):
        Credentials(registry.file, iterations=iterations)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=40),
    st.text(max_size=60) | st.from_regex(r"\$7\$[0-9]{1,6}\$[A-Za-z0-9+/=]{0,20}\$[A-Za-z0-9+/=]{0,90}"),
)
def test_no_stored_text_lets_a_wrong_password_in_or_raises(password: str, stored: str) -> None:
    assert not password_matches(password, stored)


@pytest.mark.parametrize(
    "user", ["taxi/1", "", "/", "'; DROP TABLE credential; --", "taxi/1' OR '1'='1", "\x00", "\ud800", "lucheng"]
)
def test_any_user_name_is_looked_up_as_a_value(registry: Registry, credentials: Credentials, user: str) -> None:
    """S9: user names come from whoever knocks."""
    registry.add("taxi/2")
    credentials.issue("taxi/2")
    assert not credentials.verify(user, "x")
    with registry.file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM credential").fetchone() == (1,)
    with pytest.raises(LuchengError):
        credentials.rotate(user)


def test_a_credential_says_nothing_of_its_password() -> None:
    assert repr(Credential("taxi/1", "secret")) == "Credential(user='taxi/1')"
