"""Line numbers of TOML keys."""

from __future__ import annotations

import tomllib

import pytest

from config.toml_lines import key_lines, line_of, syntax_line

TEXT = '''# first
top = 1
[a]
one = "x # no comment = 2"   # two = 3
list = [
  "three = 3",
  [1, 2], # ]
]
many = """
four = 4
"""
five = 5
"quoted key" = 6
[b.c]
'lit' = { inner = 1 }
d.e = 2
[[f]]
g = "[" # [
h = 1
i = \'\'\'one line = 1\'\'\'
j = 2
'''


def test_keys_are_found_where_they_stand() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    rows = TEXT.splitlines()
    for path, line in lines.items():
        assert path[-1].split()[0] in rows[line - 1], path
    assert set(lines) == {
        ("top",), ("a",), ("a", "one"), ("a", "list"), ("a", "many"), ("a", "five"), ("a", "quoted key"),
        ("b", "c"), ("b", "c", "lit"), ("b", "c", "d", "e"), ("f",), ("f", "g"), ("f", "h"), ("f", "i"), ("f", "j"),
    }  # fmt: skip
    assert lines["a", "five"] == 12
    assert line_of(lines, ("b", "c", "lit", "inner")) == 15
    assert line_of(lines, ("b",)) == 14
    assert line_of(lines, ("unknown", "x")) == 1


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = = 2\n", 2), ("a = 1\nb = [1,\n", 2)])
def test_the_line_of_a_syntax_error(text: str, line: int) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert syntax_line(caught.value, text) == line
