"""The settings refuse what they do not know, name the place and the mend, and keep secrets to themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import settings as config_settings
from config.sections import Settings, section_types
from config.settings import (
    SettingProblem,
    WrongSettings,
    as_dict,
    broker_user,
    dump,
    env_name,
    example,
    json_schema,
    keys,
    load,
    masked_url,
)
from config.toml_lines import toml_value
from model.errors import SettingsError

ROOT = Path(config_settings.__file__).parents[1]


def written(folder: Path, text: str) -> Path:
    path = folder / "city.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path | None, env: dict[str, str] | None = None, **flags: object) -> tuple[SettingProblem, ...]:
    with pytest.raises(WrongSettings) as caught:
        load(path, {name.replace("__", "."): value for name, value in flags.items()}, env or {})
    assert caught.value.exit_status == 2
    assert all(problem.mend for problem in caught.value.problems)
    return caught.value.problems


def test_the_defaults_hold_their_own_bounds() -> None:
    values = Settings().model_dump()
    assert Settings.model_validate(values) == Settings() == load(env={})


def test_file_then_environment_then_flags(tmp_path: Path) -> None:
    path = written(tmp_path, '[devices]\nunknown = "register"\nmax_import_rows = 7\n[log]\nmax_rows = 5\n')
    env = {"LUCHENG_LOG__MAX_ROWS": "6", "LUCHENG_DEMO__TAXIS": "3", "PATH": "x"}
    got = load(path, {"demo.taxis": 4, "demo.bikes": None}, env)
    assert (got.devices.unknown, got.devices.max_import_rows) == ("register", 7)
    assert (got.log.max_rows, got.demo.taxis, got.demo.bikes) == (6, 4, Settings().demo.bikes)


def test_an_empty_variable_unsets_what_the_file_set(tmp_path: Path) -> None:
    path = written(tmp_path, '[mqtt]\nurl = "mqtt://somewhere"\n')
    assert load(path, env={"LUCHENG_MQTT__URL": ""}).mqtt.url is None


def test_every_problem_is_named_at_once_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[devices]\n# a comment\nunknwon = "register"\n\n[log]\nmax_rows = "many"\n[series]\nretention_days = 0\n'
        '[qeury]\n[clean]\nmax_speed_kmh = true\n[trust]\ncli_purpose = "curiosity"\n[city]\ntime_zone = "Mars/Olympus"\n',
    )
    env = {"LUCHENG_DEVICES__UNKOWN": "register", "LUCHENG_DEMO__SEED": "one"}
    found = {problem.place: problem for problem in problems_of(path, env, demo__taxis=-1)}
    assert {f"{path}:{line}" for line in (3, 6, 8, 9, 11, 13, 15)} <= set(found)
    assert found[f"{path}:3"].mend == "Did you mean devices.unknown?"
    assert "whole number, not 'many'" in found[f"{path}:6"].what
    assert "at least 1, not 0" in found[f"{path}:8"].what
    assert "LUCHENG_DEVICES__UNKNOWN" in found["LUCHENG_DEVICES__UNKOWN"].mend
    assert "not 'one'" in found["LUCHENG_DEMO__SEED"].what
    assert "flag demo.taxis" in found
    assert len(found) == 10


def test_a_key_in_the_wrong_section_is_shown_its_own(tmp_path: Path) -> None:
    (only,) = problems_of(written(tmp_path, "[city]\nretention_days = 3\n"))
    assert only.mend == "Did you mean series.retention_days?"


@pytest.mark.parametrize(
    ("text", "line"),
    [("[city]\nname = \n", 2), ("a = 1\na = 2\n", 2), ("[city\n", 1), ("[city]\nname = 'x", 2)],
)
def test_broken_toml_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    (only,) = problems_of(path)
    assert only.place == f"{path}:{line}"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "absent.toml")[0].what
    big = written(tmp_path, "#" * (config_settings.MAX_FILE_BYTES + 1))
    assert "larger" in problems_of(big)[0].what
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"[city]\nname = '\xff\xfe'\n")
    assert problems_of(binary)[0].place == f"{binary}:2"
    assert problems_of(written(tmp_path, "mqtt = 3\n"))[0].what.startswith("has to be a section")


def test_a_missing_or_empty_secret_refuses_and_names_the_line(tmp_path: Path) -> None:
    secret = tmp_path / "pw"
    path = written(tmp_path, f'[mqtt]\nusername = "desk"\npassword_file = "{secret}"\n')
    (only,) = problems_of(path)
    assert only.place == f"{path}:3"
    assert str(secret) in only.what
    secret.write_text("")
    assert "empty" in problems_of(path)[0].what
    secret.write_text("open sesame\nsecond line\n")
    assert broker_user(load(path, env={})) == ("desk", "open sesame")
    secret.write_text("\n")
    with pytest.raises(SettingsError):
        broker_user(load(path, env={}))


def test_values_that_contradict_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, "[mqtt]\nreconnect_min_ms = 5000\nreconnect_max_ms = 1000\n")
    (only,) = problems_of(path)
    assert only.place == f"{path}:2"
    doctor = problems_of(None, {"LUCHENG_MQTT__URL": "mqtt://desk:x@h", "LUCHENG_MQTT__DOCTOR_USERNAME": "desk"})
    assert doctor[0].place == "LUCHENG_MQTT__DOCTOR_USERNAME"
    low = problems_of(None, {"LUCHENG_MQTT__MAX_PACKET_BYTES": "2048"})
    assert low[0].place == "LUCHENG_MQTT__MAX_PACKET_BYTES", "the one that was given, not the default it contradicts"
    assert problems_of(None, {"LUCHENG_LOG__MAX_ROWS": "900000"})[0].place == "LUCHENG_LOG__MAX_ROWS"


@pytest.mark.parametrize(
    "url",
    ["host:1883", "http://h", "mqtt://", "mqtt://u:hunter2@h:99999", "mqtt://:hunter2@h", "mqtt://h/path", "mqtt://[x"],
)
def test_a_bad_url_is_refused_and_never_repeated(url: str) -> None:
    (only,) = problems_of(None, {"LUCHENG_MQTT__URL": url})
    assert "mqtt://user:password@host" in str(only)
    assert "hunter2" not in str(only)


def test_no_secret_in_what_is_shown(tmp_path: Path) -> None:
    got = load(env={"LUCHENG_MQTT__URL": "mqtts://desk:hunter%402@broker:8884"})
    assert broker_user(got) == ("desk", "hunter@2")
    assert "hunter" not in dump(got) + json.dumps(as_dict(got))
    assert masked_url("mqtts://desk:x@broker:8884") == "mqtts://desk:***@broker:8884"
    assert masked_url("mqtt://broker") == "mqtt://broker"
    misplaced = problems_of(written(tmp_path, 'mqtt = "mqtt://u:hunter2@h"\n'))
    assert "hunter2" not in str(misplaced[0])


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    got = load(env={"LUCHENG_CITY__NAME": 'a"b\\c\x7f', "LUCHENG_CLEAN__MAX_SPEED_KMH": "1e2"})
    assert load(written(tmp_path, dump(got)), env={}) == got


def test_the_shipped_example_is_the_schema(tmp_path: Path) -> None:
    shipped = (ROOT / "config" / "files" / "city.toml").read_text(encoding="utf-8")
    assert shipped == example(), "run `python -m lucheng.reference --write`"
    assert load(written(tmp_path, shipped), env={}) == Settings()
    used = re.sub(r"^# (?=[a-z_]+ = )", "", shipped, flags=re.MULTILINE)
    assert load(written(tmp_path, used), env={}) == Settings()


def test_every_setting_is_described_twice_and_bounded() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(section_types())
    for section, kind in section_types().items():
        assert "·" in (kind.__doc__ or "")
        for name, field in kind.model_json_schema()["properties"].items():
            assert field["description"], (section, name)
            assert field["zh"], (section, name)
            if field.get("type") in {"integer", "number"}:
                assert "minimum" in field, (section, name)
                assert "maximum" in field, (section, name)


def test_names_of_variables() -> None:
    assert env_name("devices.unknown") == "LUCHENG_DEVICES__UNKNOWN"
    assert "devices.unknown" in keys()
    assert load(env={"LUCHENG_TEST_DATA": "/x", "LUCHENG_CACHE_DIR": "/y"}) == Settings()


def test_a_short_command_does_not_pay_for_pydantic_settings() -> None:
    code = (
        "import sys, config; assert 'pydantic' not in sys.modules\n"
        "from config.settings import load; load(env={}); print('pydantic_settings' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def complaint(path: Path | None, env: dict[str, str]) -> WrongSettings | None:
    """What `load` says; anything but WrongSettings goes through and fails the test."""
    try:
        load(path, env=env)
    except WrongSettings as error:
        return error
    return None


@given(st.text(max_size=200))
def test_no_file_makes_it_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "city.toml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    wrong = complaint(path, {})
    assert wrong is None or all(problem.place.startswith(f"{path}:") for problem in wrong.problems)


@given(st.sampled_from(keys()), st.text(max_size=30))
def test_no_variable_makes_it_raise_anything_else(key: str, value: str) -> None:
    wrong = complaint(None, {env_name(key): value})
    assert wrong is None or wrong.problems[0].key.partition(".")[0] in {key.partition(".")[0], "limits", "log"}


_SCALARS = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20))


@given(st.sampled_from(keys()), _SCALARS)
def test_no_value_in_a_file_makes_it_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    section, _, name = key.partition(".")
    path = tmp_path_factory.mktemp("any") / "city.toml"
    path.write_text(f"# first\n[{section}]\n{name} = {toml_value(value)}\n", encoding="utf-8", errors="replace")
    wrong = complaint(path, {})
    assert wrong is None or {problem.place for problem in wrong.problems} == {f"{path}:3"}
