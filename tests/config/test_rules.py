"""The table of road classes: given in part, in a file or a variable, and refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.rules import ROAD_LIMITS_KMH
from config.settings import WrongSettings, dump, env_name, load

VARIABLE = env_name("rules.road_limits_kmh")


def written(folder: Path, text: str) -> Path:
    path = folder / "city.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        '[rules]\nroad_limits_kmh = { lane = 20, "校区 1" = 15.5 }\n',
        '[rules.road_limits_kmh]\nlane = 20\n"校区 1" = 15.5\n',
    ],
)
def test_classes_that_are_not_named_keep_theirs(tmp_path: Path, text: str) -> None:
    got = load(written(tmp_path, text), env={})
    assert got.rules.road_limits_kmh == {**ROAD_LIMITS_KMH, "lane": 20.0, "校区 1": 15.5}
    assert load(written(tmp_path, dump(got)), env={}) == got


def test_a_variable_is_json_and_wins() -> None:
    assert load(env={VARIABLE: '{"lane": 15}'}).rules.road_limits_kmh == {**ROAD_LIMITS_KMH, "lane": 15.0}
    assert load(env={VARIABLE: "{}"}).rules.road_limits_kmh == ROAD_LIMITS_KMH


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("lane=20", "a table of names and numbers, not 'lane=20'"),
        ("[20]", "a table"),
        ('{"lane": 3}', "at least 5"),
        ('{"lane": 300}', "at most 200"),
        ('{"lane": NaN}', "finite"),
        ('{"lane": "x"}', "a number, not 'x'"),
        ('{" lane": 20}', "no plain text"),
        ('{"": 20}', "at least 1 character"),
        ("{" + ", ".join(f'"c{at}": 20' for at in range(101)) + "}", "at most 100 items"),
    ],
)
def test_what_is_no_table_of_limits(value: str, what: str) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(env={VARIABLE: value})
    (problem, *_) = caught.value.problems
    assert problem.place == VARIABLE
    assert problem.key == "rules.road_limits_kmh"
    assert what in problem.what
    assert problem.mend


def test_a_battery_is_not_well_before_it_is_low(tmp_path: Path) -> None:
    with pytest.raises(WrongSettings) as caught:
        load(written(tmp_path, "[rules]\nlow_battery_clear_pct = 10\n"), env={})
    (problem,) = caught.value.problems
    assert problem.place.endswith(":2")
    assert "rules.low_battery_clear_pct (10)" in problem.what
