"""`lucheng decode`: one JSON object for each line, refusals included; rubbish in words."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from lucheng.cli.root import app

CLI = CliRunner()
HEARTBEAT = "7e000200001234567890120001897e"
LOGIN = "78780d01012345678901234500018cdd0d0a"


def test_a_frame_as_json() -> None:
    done = CLI.invoke(app, ["decode", HEARTBEAT, "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["protocol"], told["message_id"], told["checksum_ok"], told["error"]) == ("jt808", "0x0002", True, "")


def test_a_file_gives_one_object_for_each_line(tmp_path: Path) -> None:
    file = tmp_path / "frames.txt"
    file.write_text(f"{HEARTBEAT}\n\nno hex at all\n{LOGIN}\n{HEARTBEAT[:-4]}007e\n", encoding="ascii")
    done = CLI.invoke(app, ["decode", str(file), "--json"])
    assert done.exit_code == 1, "some were refused"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["protocol"] for row in rows] == ["jt808", None, "gt06", "jt808"]
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    assert rows[3]["checksum_ok"] is False


def test_standard_input() -> None:
    done = CLI.invoke(app, ["decode", "-"], input=HEARTBEAT + "\n")
    assert done.exit_code == 0, done.stderr
    assert "message\theartbeat" in done.stdout


def test_rubbish_is_refused_in_words(tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"\xff\xd8\xff")
    for what, words in (("what is this", "neither a file nor hex"), (str(picture), "no text")):
        done = CLI.invoke(app, ["decode", what])
        assert done.exit_code in {1, 2}
        assert words in done.stderr
    done = CLI.invoke(app, ["decode", HEARTBEAT, "--protocol", "morse"])
    assert done.exit_code == 2
    assert "auto, jt808, jt905, gt06" in done.stderr
