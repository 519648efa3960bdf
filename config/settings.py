"""Reads the settings: TOML file < environment `LUCHENG_…` < flags, or refuses and says what to mend.

Invariants: nothing is guessed: an unknown key or `LUCHENG_` variable, a wrong type, a value out of
range or a missing secret file raises `WrongSettings`, which names every problem at once, each with
its file and line (or variable), and never repeats a secret. The file is only read when it is named.

pydantic alone costs 0.15 s to import, pydantic-settings 0.4 s more: it is only imported when there
is a variable to read.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlunsplit

from pydantic import ValidationError

from config.base import ENV_DELIMITER, ENV_PREFIX
from config.cameras import CAMERA_ORDER, across_cameras
from config.cluster import CLUSTER_ORDER
from config.database import DATABASE_ORDER, across_database
from config.gateway import across_gateway
from config.influx import INFLUX_ORDER, across_influx
from config.nats import NATS_ORDER, across_nats
from config.sections import BROKER_SCHEMES, Settings, section_types, split_url
from config.toml_lines import KeyPath, key_lines, line_of, syntax_line, toml_value
from model.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Variables that share the prefix but are no settings.
ENV_OTHER = frozenset({"LUCHENG_DATA", "LUCHENG_TEST_DATA", "LUCHENG_TEST_SEED", "LUCHENG_CACHE_DIR"})
#: A settings file is written by hand: more than this is not one.
MAX_FILE_BYTES = 1024 * 1024
#: A password is one short line.
MAX_SECRET_BYTES = 4096
_SHOWN_CHARS = 60
#: Settings whose value may hold a secret, and so is never repeated in a message.
_SECRET = frozenset({"mqtt.url"})
#: Files that must be there when they are named.
_NAMED_FILES = (
    "mqtt.password_file", "mqtt.doctor_password_file", "mqtt.ca_file", "influx.token_file", "influx.ca_file",
    "nats.password_file", "nats.ca_file", "database.password_file",
)  # fmt: skip
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "dict_type": "a table of names and numbers",
    "bool_type": "true or false",
    "model_type": "a section with keys of its own",
}


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing wrong with the settings.

    Attributes:
        place: `FILE:LINE`, the variable's name, or the flag's.
        key: the setting, `section.name`; "" for the file as a whole.
        what: what is wrong with it.
        mend: what to do.
    """

    place: str
    key: str
    what: str
    mend: str

    def __str__(self) -> str:
        key = f"{self.key} " if self.key else ""
        return f"{self.place}: {key}{self.what}. {self.mend}".strip()


class WrongSettings(SettingsError):
    """The settings cannot be used; `problems` holds every one."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values of one source, and how to say where one of them stands."""

    values: dict[str, Any]
    strict: bool
    file: Path | None = None
    lines: Mapping[KeyPath, int] | None = None
    env: bool = False

    def place(self, path: KeyPath) -> str:
        if self.file is not None:
            return f"{self.file}:{line_of(self.lines or {}, path)}"
        return env_name(".".join(path)) if self.env else f"flag {'.'.join(path)}"

    def has(self, path: KeyPath) -> bool:
        node: Any = self.values
        for part in path:
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True


def keys() -> list[str]:
    """Every setting as `section.name`, in the schema's order."""
    return [f"{section}.{name}" for section, kind in section_types().items() for name in kind.model_fields]


def env_name(key: str) -> str:
    """The environment variable of a setting: `devices.unknown` is `LUCHENG_DEVICES__UNKNOWN`."""
    return ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper()


def load(
    config_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    Args:
        config_file: a TOML file; None reads none.
        overrides: flags by `section.name`; those that are None were not given.
        env: the environment; None is the process's own.

    Raises:
        WrongSettings: with every problem found.
    """
    problems: list[SettingProblem] = []
    layers = [
        _file_layer(config_file, problems),
        _env_layer(os.environ if env is None else env, problems),
        _flag_layer(overrides or {}, problems),
    ]
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        try:
            checked = Settings.model_validate(layer.values, strict=layer.strict)
        except ValidationError as error:
            problems.extend(_problem(layer, detail) for detail in error.errors(include_url=False))
            continue
        for section in checked.model_fields_set:
            part = getattr(checked, section)
            merged.setdefault(section, {}).update({name: getattr(part, name) for name in part.model_fields_set})
    if problems:
        raise WrongSettings(problems)
    settings = Settings.model_validate(merged)
    for across, what, mend in _across(settings):
        given = [(layer, key) for layer in reversed(layers) for key in across if layer.has(tuple(key.split(".")))]
        layer, key = given[0]  # the defaults agree with each other, so one of them was given
        problems.append(SettingProblem(layer.place(tuple(key.split("."))), across[0], what, mend))
    if problems:
        raise WrongSettings(problems)
    return settings


def _file_layer(config_file: Path | None, problems: list[SettingProblem]) -> _Layer:
    if config_file is None:
        return _Layer({}, strict=True)
    layer = _Layer({}, strict=True, file=config_file)
    try:
        with config_file.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        problems.append(SettingProblem(str(config_file), "", what, "Name an existing file with --config."))
        return layer
    if len(raw) > MAX_FILE_BYTES:
        what = f"is larger than {MAX_FILE_BYTES} bytes"
        problems.append(SettingProblem(str(config_file), "", what, "Is it a settings file? Name the right one."))
        return layer
    text = raw.decode("utf-8", errors="replace")
    if "\ufffd" in text:
        line = text[: text.index("\ufffd")].count("\n") + 1
        problems.append(SettingProblem(f"{config_file}:{line}", "", "is not UTF-8", "Save the file as UTF-8."))
        return layer
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        reason = str(error).partition(" (at ")[0]
        place = f"{config_file}:{syntax_line(error, text)}"
        mend = 'Write key = value under a [section]; texts in "quotes".'
        problems.append(SettingProblem(place, "", f"is not TOML: {reason}", mend))
        return layer
    return _Layer(values, strict=True, file=config_file, lines=key_lines(text))


def _env_layer(env: Mapping[str, str], problems: list[SettingProblem]) -> _Layer:
    ours = {name: value for name, value in env.items() if name.startswith(ENV_PREFIX) and name not in ENV_OTHER}
    if not ours:
        return _Layer({}, strict=False, env=True)
    known = {env_name(key) for key in keys()}
    for name in sorted(set(ours) - known):
        mend = f"Unset it{_did_you_mean(name, sorted(known | ENV_OTHER), ', or use ')}."
        problems.append(SettingProblem(name, "", "is no setting", mend))
    from config.environment import explode  # noqa: PLC0415 pydantic-settings costs 0.4 s, and most calls need none

    return _Layer(explode({name: ours[name] for name in known & set(ours)}), strict=False, env=True)


def _flag_layer(overrides: Mapping[str, object], problems: list[SettingProblem]) -> _Layer:
    known = set(keys())
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        if key not in known:
            mend = f"See `lucheng config schema`{_did_you_mean(key, sorted(known), ', or use ')}."
            problems.append(SettingProblem(f"flag {key}", "", "is no setting", mend))
            continue
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    return _Layer(values, strict=False)


def _did_you_mean(word: str, known: list[str], lead: str) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"{lead}{close[0]}" if close else ""


def _siblings(path: KeyPath) -> list[str]:
    sections = section_types()
    return list(sections[path[0]].model_fields) if len(path) > 1 and path[0] in sections else list(sections)


def _problem(layer: _Layer, detail: ErrorDetails) -> SettingProblem:
    path = tuple(str(part) for part in detail["loc"])[:2]
    key = ".".join(path)
    place = layer.place(path)
    kind, context = detail["type"], detail.get("ctx", {})
    told = repr(detail["input"])
    shown = "" if key in _SECRET or "://" in told else f", not {told:.{_SHOWN_CHARS}}"
    if kind == "extra_forbidden":
        return _unknown(place, path)
    if kind in {"greater_than_equal", "less_than_equal"}:
        low = kind == "greater_than_equal"
        bound = context["ge"] if low else context["le"]
        what = f"has to be at {'least' if low else 'most'} {bound}{shown}"
        return SettingProblem(place, key, what, "Change it, or remove it for the default.")
    if kind == "literal_error":
        return SettingProblem(place, key, f"has to be {context['expected']}{shown}", "Write one of these.")
    if kind in _WANTED:
        return SettingProblem(place, key, f"has to be {_WANTED[kind]}{shown}", "Change it, or remove it.")
    what = str(context["error"]) if kind == "value_error" else str(detail["msg"])
    return SettingProblem(place, key, what.rstrip("."), "Change it, or remove it for the default.")


def _unknown(place: str, path: KeyPath) -> SettingProblem:
    siblings = _siblings(path)
    close = difflib.get_close_matches(path[-1], siblings, n=1, cutoff=0.6)
    if close:
        return SettingProblem(
            place, ".".join(path), "is no setting", f"Did you mean {'.'.join((*path[:-1], close[0]))}?"
        )
    elsewhere = [key for key in keys() if key.rpartition(".")[2] == path[-1]]
    mend = f"Did you mean {elsewhere[0]}?" if elsewhere else f"Known here: {', '.join(siblings)}."
    return SettingProblem(place, ".".join(path), "is no setting", mend)


def _across(settings: Settings) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Problems that no single value shows: (keys that disagree, what, mend)."""
    mqtt = settings.mqtt
    for key in _NAMED_FILES:
        path = _get(settings, key)
        if path is not None:
            what = _file_trouble(path)
            if what:
                yield (key,), what, "Make the file, readable by this user alone, or name the right one."
    if mqtt.password_file is not None and mqtt.username is None and _url_user(mqtt.url) is None:
        yield ("mqtt.password_file",), "is set without a user name", "Set mqtt.username too."
    if mqtt.doctor_username is not None and mqtt.doctor_username in {mqtt.username, _url_user(mqtt.url)}:
        yield ("mqtt.doctor_username",), "is the service's own account", "Give it an account of its own, or remove it."
    if mqtt.url and mqtt.password_file is not None and split_url(mqtt.url).password is not None:
        yield ("mqtt.password_file",), "is set and mqtt.url has a password too", "Remove one of them."
    if mqtt.ca_file is not None and mqtt.url and not BROKER_SCHEMES[split_url(mqtt.url).scheme][1]:
        yield ("mqtt.ca_file",), "is set, but mqtt.url is not mqtts://", "Use mqtts://, or remove mqtt.ca_file."
    if settings.nats.mqtt and mqtt.files_dir is not None:
        yield (
            ("mqtt.files_dir", "nats.mqtt"),
            "is for a broker, and the nats-servers' listener asks lucheng",
            "Remove it.",
        )
    for low, high in (
        ("mqtt.reconnect_min_ms", "mqtt.reconnect_max_ms"),
        ("limits.payload_bytes", "mqtt.max_packet_bytes"),
        ("log.max_rows", "log.max_queued_rows"),
        ("desk.all_seats_s", "desk.shift_lead_s"),
        ("desk.shift_lead_s", "desk.duty_officer_s"),
        ("rules.low_battery_pct", "rules.low_battery_clear_pct"),
        *CAMERA_ORDER,
        *CLUSTER_ORDER,
        *DATABASE_ORDER,
        *INFLUX_ORDER,
        *NATS_ORDER,
    ):
        if _get(settings, low) > _get(settings, high):
            yield (low, high), f"is more than {high} ({_get(settings, high)})", f"Lower it, or raise {high}."
    yield from across_cameras(settings.camera, settings.clips)
    yield from across_influx(settings.influx)
    yield from across_nats(settings.nats)
    yield from across_database(settings.database)
    yield from across_gateway(settings.gateway)


def _url_user(url: str | None) -> str | None:
    user = split_url(url).username if url else None
    return unquote(user) if user else None


def _get(settings: Settings, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def _file_trouble(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        return f"names {path}, which cannot be read: {error.strerror or error}"
    except ValueError:  # no file can be called that
        return "holds a character that no file's name can have"
    return f"names {path}, which is empty" if empty else ""


def broker_user(settings: Settings) -> tuple[str | None, str | None]:
    """User name and password of our broker connections, from the URL or the password file.

    Raises SettingsError when the password file cannot be read or its first line is empty.
    """
    mqtt = settings.mqtt
    user, password = _url_user(mqtt.url) or mqtt.username, None
    if mqtt.url:
        given = split_url(mqtt.url).password
        password = unquote(given) if given is not None else None
    if mqtt.password_file is not None:
        password = read_secret(mqtt.password_file)
    return user, password


def read_secret(path: Path) -> str:
    """The first line of a secret's file."""
    try:
        with path.open("rb") as stream:
            line = stream.read(MAX_SECRET_BYTES).split(b"\n", 1)[0].strip()
            text = line.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The secret file {path} cannot be read.", mend="Check its owner and mode.") from error
    if not text:
        raise SettingsError(f"The first line of the secret file {path} is empty.", mend="Write the secret there.")
    return text


def masked_url(url: str) -> str:
    """`url` with its password replaced, fit for a screen or a log."""
    parts = split_url(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def as_dict(settings: Settings) -> dict[str, dict[str, Any]]:
    """All values as plain JSON types, secrets masked."""
    values: dict[str, dict[str, Any]] = settings.model_dump(mode="json")
    if settings.mqtt.url:
        values["mqtt"]["url"] = masked_url(settings.mqtt.url)
    return values


def dump(settings: Settings) -> str:
    """All values as TOML, secrets masked."""
    blocks = []
    for section, values in as_dict(settings).items():
        rows = [f"{name} = {toml_value(value)}" for name, value in values.items()]
        blocks.append("\n".join([f"[{section}]", *rows]))
    return "\n\n".join(blocks) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the settings file, each field with its description in English and, as `zh`, in Chinese."""
    return Settings.model_json_schema()


def example() -> str:
    """The shipped city.toml: every setting, commented out, with its default, bounds and meaning."""
    lines = [
        "# Settings of lucheng. Everything is optional; what stands here commented out is the default.",
        "# 鹿城设置。所有项均可省略；注释掉的值即为默认值。",
        "# Check it with: lucheng config check --config city.toml",
        f"# The environment wins over this file, e.g. {env_name('devices.unknown')}=register; flags win over both.",
    ]
    for section, kind in section_types().items():
        lines += ["", f"# {kind.__doc__}", f"[{section}]"]
        for name, field in kind.model_fields.items():
            extra = field.json_schema_extra
            zh = extra["zh"] if isinstance(extra, dict) else ""
            bounds = bounds_text(f"{section}.{name}")
            lines += [f"# {field.description}{f' ({bounds})' if bounds else ''}", f"# {zh}"]
            lines.append(f"# {name} = {toml_value(field.default)}")
    return "\n".join(lines) + "\n"


def bounds_text(key: str) -> str:
    """Bounds or choices of a setting for people: `5 … 3600`, `quarantine | register`, or ""."""
    section, _, name = key.partition(".")
    described: dict[str, Any] = section_types()[section].model_json_schema()["properties"][name]
    if "enum" in described:
        return " | ".join(described["enum"])
    low, high = described.get("minimum"), described.get("maximum")
    return f"{low} … {high}" if low is not None and high is not None else ""
