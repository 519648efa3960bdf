"""Settings of cameras that agree with themselves and not with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.cameras import CAMERA_ORDER
from config.sections import Settings
from config.settings import WrongSettings, load


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[camera]\nback_off_min_s = 9\nback_off_max_s = 3\n", "camera.back_off_max_s (3.0)"),
        ("[camera]\nopen_timeout_s = 30\n", "camera.stuck_after_s (20.0)"),
        ("[camera]\nstuck_after_s = 5\n", "camera.stuck_after_s (5.0)"),
        ("[camera]\nring_bytes = 1048576\n", "camera.ring_bytes (1048576)"),
        ("[camera]\nstalled_after_s = 30\n", "not less than camera.offline_after_s (30)"),
        ("[camera]\nring_s = 9\n", "pre-roll of clips (10 s)"),
        ("[clips]\nmax_length_s = 39\n", "together (40 s)"),
        ("[clips]\nmax_waiting = 15\n", "clips.max_waiting (15)"),
        ("[live]\nmax_viewers = 4\n", "live.max_viewers (4)"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "city.toml"
    path.write_text(text)
    with pytest.raises(WrongSettings) as caught:
        load(path, env={})
    assert what in "".join(problem.what for problem in caught.value.problems)
    assert all(problem.mend and f"{path}:" in problem.place for problem in caught.value.problems)


def test_the_defaults_agree() -> None:
    settings = Settings()
    for low, high in CAMERA_ORDER:
        (one, first), (other, second) = low.split("."), high.split(".")
        assert getattr(getattr(settings, one), first) <= getattr(getattr(settings, other), second)
    assert load(env={}).camera.ring_s == settings.camera.ring_s
