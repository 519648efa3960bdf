"""What deploy/ and docs/operations name is there: settings, keys of the environment, commands with their options, files, ports."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for two calls

from config.sections import Settings
from lucheng.cluster.roles import Role, roles_of
from tests.test_readme import named

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts)
PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))
#: Of the environment, and no settings: what scripts, images and the compose file are told.
OURS = frozenset({"LUCHENG_DATA"})
_ENV = re.compile(r"\bLUCHENG_[A-Z0-9_]+")
#: A line of a shell that calls it, at its beginning or in a container.
_IN_A_PAGE = re.compile(r"^(?:\S+/|\S+ exec \S+ )?lucheng (.+)$")
_IN_A_SCRIPT = re.compile(r'^[^#\n]*?(?:run_lucheng|"\$lucheng") (?!"\$@")([^>|;)\n]+)', re.MULTILINE)
_SETTING = re.compile(r"`([a-z0-9]+)\.([a-z][a-z0-9_]*)(?: = [^`]*)?`")
#: What a file of the same name ends with.
_SUFFIXES = frozenset({"md", "conf", "toml", "service", "py"})
_LINK = re.compile(r"\]\(([^)#\s]+)\)")
_FILE = re.compile(r"`((?:deploy|config/files|servers|requirements|tests|docs)/[\w./@{},-]+)`")


def settings() -> dict[str, set[str]]:
    """Every key by section."""
    return {
        name: set(field.annotation.model_fields) if isinstance(field.annotation, type) else set()
        for name, field in Settings.model_fields.items()
    }


def env_keys(text: str) -> Iterator[str]:
    yield from (name for name in _ENV.findall(text) if "__" in name or name not in OURS)


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: path.name)
def test_every_key_of_the_environment_is_a_setting(path: Path) -> None:
    known = settings()
    for name in env_keys(path.read_text(encoding="utf-8")):
        section, _, key = name.removeprefix("LUCHENG_").lower().partition("__")
        assert key in known.get(section, set()), f"{path.name}: {name} is no setting"


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.toml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_key_of_a_settings_file_is_a_setting(path: Path) -> None:
    known = settings()
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    assert found["nats"]["mode"] == "log"
    for section, values in found.items():
        assert set(values) <= known[section], path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_that_a_page_names_is_there(path: Path) -> None:
    known = settings()
    found = [(s, k) for s, k in _SETTING.findall(path.read_text(encoding="utf-8")) if s in known and k not in _SUFFIXES]
    assert [f"{section}.{key}" for section, key in found if key not in known[section]] == []


def commands() -> Iterator[tuple[str, str]]:
    """(file, command line) of every call of `lucheng` in units, scripts, the compose file and the pages."""
    for path in [*FILES, *PAGES]:
        text = path.read_text(encoding="utf-8")
        if path.name == "compose.yml":
            found = list(_of_compose(text))
        elif path.suffix == ".md":
            lines = [re.split("  +#", line)[0].strip() for line in text.splitlines() if line.startswith("    ")]
            found = [call for line in [*lines, *re.findall(r"`([^`\n]+)`", text)] for call in _IN_A_PAGE.findall(line)]
        elif path.suffix == ".sh":
            found = [call.replace('"$', '"/') for call in _IN_A_SCRIPT.findall(text) if '"$@"' not in call]
        elif path.suffix == ".service":
            found = re.findall(r"^ExecStart=\S*/lucheng (.+)$", text, re.MULTILINE)
        else:
            continue
        for call in found:
            yield path.name, f"lucheng {call}"


def _of_compose(text: str) -> Iterator[str]:
    for service in yaml.safe_load(text)["services"].values():
        for key in ("command", "entrypoint"):
            words = [str(word) for word in service.get(key, [])]
            yield from re.findall(r"lucheng ([a-z].*)", words[-1] if words[:2] == ["sh", "-c"] else "")
            if words[:1] == ["run"]:
                yield " ".join(words)
        test = service.get("healthcheck", {}).get("test", [])
        if test[1:2] == ["lucheng"]:
            yield " ".join(test[2:])


def test_every_command_is_there_with_its_options() -> None:
    found = list(commands())
    print(*found, sep="\n")
    assert len(found) > 20
    assert {"lucheng@.service", "compose.yml", "backup.sh", "restore.sh", "machines.md"} <= {name for name, _ in found}
    for name, line in found:
        words = named(line)
        assert words.words or words.options, (name, line)


def test_every_role_is_one() -> None:
    text = (DEPLOY / "compose.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    said = [
        service["command"][service["command"].index("--role") + 1]
        for service in services.values()
        if "--role" in service.get("command", [])
    ]
    assert sorted(said) == sorted(2 * [role.value for role in Role])
    for role in said:
        assert roles_of(role)
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    for instance in set(re.findall(r"lucheng@([a-z]+)", pages + (DEPLOY / "systemd" / "lucheng@.service").read_text())):
        assert instance in {role.value for role in Role} | {"service"}
    assert {path.stem for path in (DEPLOY / "machines").glob("*.env")} - {"influxdb"} == {role.value for role in Role}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        assert (path.parent / link).exists(), link
    for name in _FILE.findall(text):
        assert (ROOT / name).exists() or "{" in name, name


def test_ports_of_the_pages_are_those_of_the_files() -> None:
    machines = DEPLOY / "machines"
    city = tomllib.loads((machines / "city.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "operations" / "machines.md").read_text(encoding="utf-8")
    firewall = page[page.index("## Firewall") :]
    envs = {path.stem: path.read_text(encoding="utf-8") for path in machines.glob("*.env")}
    ports = {
        str(city["gateway"]["jt_port"]),
        str(city["gateway"]["gt06_port"]),
        *re.findall(r"PORT=(\d+)", envs["desk"]),
        *re.findall(r'(?:listen|https): "[\d.]+:(\d+)"', (machines / "nats.conf").read_text()),
        *re.findall(r"BIND_ADDRESS=:(\d+)", envs["influxdb"]),
        *re.findall(r"listener (\d+)", (ROOT / "config/files/mqtt_cluster/ingest.conf").read_text()),
    }
    assert {"7611", "7612", "8480", "4222", "6222", "8222", "8086", "1883", "1884"} <= ports
    metrics = sorted({port for text in envs.values() for port in re.findall(r"METRICS__PORT=(\d+)", text)})
    assert len(metrics) == len(Role)
    for port in ports - set(metrics):
        assert re.search(rf"\b{port}/tcp", firewall), port
    assert f"{metrics[0]} to {metrics[-1]}/tcp" in firewall


def test_what_the_servers_set_aside_fits() -> None:
    """JetStream refuses a stream whose bytes are more than is left of max_file_store."""
    for folder in ("machines", "compose"):
        city = tomllib.loads((DEPLOY / folder / "city.toml").read_text(encoding="utf-8"))
        given_nats = {key: value for key, value in city["nats"].items() if not key.endswith("file")}
        values = Settings.model_validate({"nats": given_nats, "video": city.get("video", {})})
        nats = values.nats
        wanted = nats.max_alarm_bytes + nats.max_point_bytes + nats.max_snapshot_bytes + values.video.max_file_bytes
        conf = (DEPLOY / folder / "nats.conf").read_text(encoding="utf-8")
        (given,) = re.findall(r"max_file_store: (\d+)GB", conf)
        assert wanted + (1 << 30) < int(given) * 1_000_000_000, folder
        assert re.search(r"^\s*sync_interval: always$", conf, re.MULTILINE)
        assert "include lucheng.conf" in conf
        mapped = (ROOT / "config/files/nats/lucheng.conf").read_text(encoding="utf-8")
        assert f"partition({nats.partitions},1)" in mapped
