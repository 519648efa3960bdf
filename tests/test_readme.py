"""README.md and README.zh.md say the same: commands, settings, pages, links and headings; and what they name is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

import model
from lucheng.cli.root import app

ROOT = Path(model.__file__).parents[1]
NAMES = {"en": "README.md", "zh": "README.zh.md"}
PAGES = ROOT / "web" / "src" / "pages" / "table.ts"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
#: Words in a line of commands that stand for nothing of their own.
ELLIPSIS = "…"
_HEADING = re.compile(r"^(#+) ", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_CODE = re.compile(r"`([^`]+)`")
_CHOICES = re.compile(r"[a-z0-9_-]+(?: \| [a-z0-9_-]+)+")
_PICTURE = re.compile(r"^docs/pictures/.+-(en|zh)\.png$")
_ADDRESS = re.compile(r"`(/[a-z]+)`")


@dataclass(frozen=True, slots=True)
class Named:
    """A command as a README names it: its words, e.g. `("device", "add")`, and its options."""

    words: tuple[str, ...]
    options: frozenset[str]


def read(language: str) -> str:
    return (ROOT / NAMES[language]).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """The indented blocks of code, without their indent."""
    found = re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))*)+", text, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in found]


def lines_of_commands(text: str) -> list[str]:
    """Every line of code and every piece of code within the prose that begins with the name of the command."""
    within = _CODE.findall(re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE))
    lines = [line for block in blocks(text) for line in block.splitlines()]
    parts = (part.strip() for line in [*lines, *within] for part in line.split("&&"))
    return [part.removeprefix(".venv/bin/") for part in parts if re.match(r"(\.venv/bin/)?lucheng ", part)]


@cache
def tree() -> TyperCommand | TyperGroup:
    """Every command, put together once."""
    made = get_command(app)
    assert isinstance(made, TyperCommand | TyperGroup)
    return made


def options_of(command: TyperCommand | TyperGroup) -> dict[str, bool]:
    """Each name of an option, and whether it takes a value."""
    return {
        name: not option.is_flag
        for option in command.params
        if isinstance(option, TyperOption)
        for name in (*option.opts, *option.secondary_opts)
    } | {"--help": False}


def named(line: str) -> Named:
    """The command of a line, walked through the tree of commands; fails where there is no such command or option."""
    words = shlex.split(re.split("#| \\| ", line, maxsplit=1)[0])[1:]
    at = tree()
    path: list[str] = []
    options: set[str] = set()
    rest = iter(words)
    for word in rest:
        if word.startswith("-") and word != "-":
            known = options_of(at)
            assert word in known, f"{line!r}: there is no {word} of {' '.join(['lucheng', *path])}"
            options.add(word)
            if known[word]:
                next(rest)
        elif isinstance(at, TyperGroup) and word != ELLIPSIS:
            assert word in at.commands, f"{line!r}: there is no {' '.join(['lucheng', *path, word])}"
            path.append(word)
            below = at.commands[word]
            assert isinstance(below, TyperCommand | TyperGroup)
            at = below
    return Named(tuple(path), frozenset(options))


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Section and key of every setting in a block of TOML."""
    for block in blocks(text):
        for piece in block.split("\n\n"):
            if piece.startswith("["):
                for section, keys in tomllib.loads(piece).items():
                    for key in keys:
                        yield section, key


@pytest.mark.parametrize("language", NAMES)
def test_every_command_is_there_with_its_options(language: str) -> None:
    found = [named(line) for line in lines_of_commands(read(language))]
    assert len(found) > 40
    assert all(one.words or one.options for one in found)


def test_both_name_the_same_commands() -> None:
    english, chinese = ([named(line) for line in lines_of_commands(read(language))] for language in NAMES)
    assert chinese == english


def test_both_name_the_same_choices() -> None:
    english, chinese = (_CHOICES.findall("\n".join(blocks(read(language)))) for language in NAMES)
    assert english
    assert chinese == english


def test_both_have_the_same_headings() -> None:
    english, chinese = (_HEADING.findall(read(language)) for language in NAMES)
    assert len(english) > 5
    assert chinese == english


def test_both_name_the_same_settings_and_they_are_there() -> None:
    english, chinese = (list(settings(read(language))) for language in NAMES)
    assert english
    assert chinese == english
    known = SETTINGS.read_text(encoding="utf-8")
    assert [f"{section}.{key}" for section, key in english if f"`{section}.{key}`" not in known] == []


def test_each_begins_with_the_way_to_the_other() -> None:
    for language, other in (("en", "zh"), ("zh", "en")):
        assert f"]({NAMES[other]})" in "".join(read(language).splitlines()[:3])


def test_both_link_to_the_same_and_it_is_there() -> None:
    linked = {language: _LINK.findall(read(language)) for language in NAMES}
    kept = {
        language: [to for to in targets if to not in NAMES.values() and not _PICTURE.match(to)]
        for language, targets in linked.items()
    }
    assert kept["zh"] == kept["en"]
    for language, targets in linked.items():
        assert [to for to in targets if "://" not in to and not (ROOT / to).exists()] == []
        assert {shown[1] for to in targets if (shown := _PICTURE.match(to))} <= {language}


def test_every_page_of_the_navigation_has_its_paragraph_in_both() -> None:
    pages = PAGES.read_text(encoding="utf-8").split("paths: [")[1:]
    addresses = {page.split('"')[1] for page in pages if "hidden: true" not in page}
    assert "/desk" in addresses
    for language in NAMES:
        assert set(_ADDRESS.findall(read(language))) == addresses
