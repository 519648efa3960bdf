"""The demo's street corner: a button is pressed, four clips with what came before are on the alarm, and each plays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from console.client import RemoteClient
from console.live.tokens import TOKEN_NAME
from lucheng.demo_cameras import POST_ROLL_S, PRE_ROLL_S
from model.errors import TryAgain
from tests.conftest import need_program, wait_until
from tests.lucheng.service_process import PROJECT

#: Films are drawn, cameras come online, their rings fill, the clips' ends pass: half a minute on a quiet machine.
HANG_S = 240.0


@pytest.mark.soak
def test_a_press_brings_four_clips_that_begin_before_it_and_play(tmp_path: Path, browser: Browser) -> None:
    need_program("mosquitto")
    data = tmp_path / "data"
    client = RemoteClient(data / "api.sock", answer_timeout_s=HANG_S)

    def asked(operation: str, **arguments: Any) -> Any:
        try:
            return client.call(operation, **arguments)
        except TryAgain:  # it does not answer yet
            return []

    def pressed() -> dict[str, Any]:
        found = [row for row in asked("alarm_list", all=True) if row["kind"] == "one_key"]
        return found[0] if found else {}

    def videos() -> list[dict[str, Any]]:
        rows = asked("evidence_list", alarm=pressed()["alarm"], purpose="test")
        return [row for row in rows if row["kind"] == "video"]

    command = [sys.executable, "-m", "lucheng", "--data", str(data), "demo", "--taxis", "5", "--bikes", "2", "--json"]
    env = {**os.environ, "LUCHENG_DEMO__TERMINALS": "0"}
    with subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as demo:
        try:
            wait_until(pressed, HANG_S, "the press")
            wait_until(lambda: len(videos()) == 4, HANG_S, "its clips")
            alarm, clips = pressed(), videos()
            port = round(client.call("status")["live"]["live_port"])
            token = (data / TOKEN_NAME).read_text().strip()
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/alarm/{alarm['alarm']}?token={token}&lang=en")
            page.wait_for_selector("video")
            page.evaluate("document.querySelectorAll('video').forEach(video => { video.muted = true; video.play(); })")
            ask = "Array.from(document.querySelectorAll('video')).every(video => video.currentTime > 0.5)"
            wait_until(lambda: page.evaluate(ask), HANG_S, "all four to play")
            lengths_s = page.evaluate("Array.from(document.querySelectorAll('video')).map(video => video.duration)")
        finally:
            demo.send_signal(signal.SIGINT)
        out, _ = demo.communicate(timeout=HANG_S)
    assert demo.returncode == 0
    assert json.loads(out)["in_flight"] == 0
    assert len({row["device"] for row in clips}) == 4
    received = datetime.fromisoformat(alarm["received"])
    for row in clips:
        before_s = (received - datetime.fromisoformat(row["time"])).total_seconds()
        assert PRE_ROLL_S <= before_s <= PRE_ROLL_S + 2.1, "from the keyframe before the pre-roll"
    assert all(length_s >= PRE_ROLL_S + POST_ROLL_S - 0.5 for length_s in lengths_s)
    assert len(lengths_s) == 4
