"""The service's limit of open files: raised as far as the machine lets it, and what then fits."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from config.settings import load
from lucheng.open_files import GOOD_OPEN_FILES, SPARE_FILES, wanted_files
from tests.lucheng.service_process import PROJECT

_ASK = """
import json, resource, sys
soft, hard, wanted, terminals = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from lucheng.open_files import fitting_terminals, raise_limit
got = raise_limit(wanted)
print(json.dumps([got, list(resource.getrlimit(resource.RLIMIT_NOFILE)), fitting_terminals(terminals)]))
"""


def asked(soft: int, hard: int, wanted: int, terminals: int) -> Any:
    """What a process of its own gets: the limit would stay lowered in this one."""
    command = [sys.executable, "-c", _ASK, *map(str, (soft, hard, wanted, terminals))]
    return json.loads(subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout)


def test_the_limit_is_raised_as_far_as_it_goes_and_never_lowered() -> None:
    assert asked(200, 900, 800, 1) == [800, [800, 900], 1]
    assert asked(200, 900, 2_000, 1) == [900, [900, 900], 1]
    assert asked(700, 900, 300, 1) == [700, [700, 900], 1]


def test_terminals_leave_files_for_the_rest() -> None:
    assert asked(900, 900, 20_000, 12_000)[2] == 450
    assert asked(4_000, 4_000, 20_000, 12_000)[2] == 4_000 - SPARE_FILES
    assert asked(4_000, 4_000, 4_000, 100)[2] == 100


def test_what_is_wanted_follows_the_settings() -> None:
    broker = {"LUCHENG_MQTT__URL": "mqtt://127.0.0.1:1883"}
    port = {"LUCHENG_GATEWAY__JT_PORT": "7611", "LUCHENG_GATEWAY__MAX_CONNECTIONS": "50000"}
    assert wanted_files(load(env=broker)) == SPARE_FILES
    assert wanted_files(load(env={})) == GOOD_OPEN_FILES
    assert wanted_files(load(env=broker | port)) == 50_000 + SPARE_FILES
