"""deploy/compose.yml is whole: what it names is there, nothing listens that should not, nobody has a default password."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for two calls

from config.settings import load
from lucheng.cluster.roles import check_roles, roles_of
from tests.conftest import need_program

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
#: What a service of the compose specification may say, as far as it is used here.
KEYS = frozenset(
    [
        "build",
        "cap_drop",
        "command",
        "cpus",
        "depends_on",
        "entrypoint",
        "environment",
        "healthcheck",
        "image",
        "init",
        "mem_limit",
        "networks",
        "pids_limit",
        "ports",
        "profiles",
        "read_only",
        "restart",
        "secrets",
        "security_opt",
        "shm_size",
        "stop_grace_period",
        "stop_signal",
        "tmpfs",
        "ulimits",
        "user",
        "volumes",
    ]
)
ROLES = ("ingest1", "ingest2", "analyze1", "analyze2", "desk1", "desk2", "video1", "video2")


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def services(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = whole["services"]
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets.sh makes."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    subprocess.run([str(DEPLOY / "secrets.sh"), str(folder)], check=True, capture_output=True)
    return folder


def test_everything_is_there(services: dict[str, Any]) -> None:
    assert {"mosquitto", "nats1", "nats2", "nats3", "postgres", "influxdb", *ROLES} <= set(services)
    for name, service in services.items():
        assert set(service) <= KEYS, name
        assert set(service.get("depends_on", ())) <= set(services), name


def test_what_is_named_is_declared_and_what_is_declared_is_used(whole: dict[str, Any], secrets: Path) -> None:
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set()}
    for name, service in whole["services"].items():
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", ()))
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            assert target.startswith("/"), (name, volume)
            if source.startswith("."):
                path = (DEPLOY / source).resolve()
                made = secrets / path.name if path.parent.name == "secrets" else path
                assert made.is_file(), (name, volume)
            else:
                used["volumes"].add(source)
        build = service.get("build")
        if build:
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
            assert re.search(rf"^FROM \S+ AS {build['target']}$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    for kind, names in used.items():
        assert names == set(whole[kind]), kind
    for name, secret in whole["secrets"].items():
        assert (secrets / Path(secret["file"]).name).is_file(), name


def test_every_service_has_limits_and_no_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for key in ("mem_limit", "cpus", "pids_limit", "stop_grace_period", "restart"):
            assert key in service or (name == "setup" and key == "stop_grace_period"), (name, key)
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert "privileged" not in service
        if service["restart"] == "always" and name not in {"balancer", "influxdb"}:
            assert service["healthcheck"]["test"], name


def test_no_image_is_without_a_tag_and_none_is_latest_but_ours(services: dict[str, Any]) -> None:
    for name, service in services.items():
        found = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-([\w./-]+):([\w.-]+)\}", service["image"])
        assert found, name
        assert found[2] != "latest" or found[1].startswith("localhost/"), name
    bases = re.findall(r"^ARG \w+=(\S+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"[\w./]+:[\w.-]+-slim", base) for base in bases)


def test_the_engines_are_reached_by_nobody_outside(whole: dict[str, Any], services: dict[str, Any]) -> None:
    assert whole["networks"]["inside"]["internal"] is True
    published = {name for name, service in services.items() if service.get("ports")}
    assert published == {"mosquitto", "balancer"}
    outside = {name for name, service in services.items() if "outside" in service["networks"]}
    assert outside == {"mosquitto", "balancer", "video1", "video2"}


def test_no_password_is_shipped() -> None:
    words = re.compile(r"(?i)(password|token|secret)\s*[:=]\s*[\"']?([^\s\"'{}#,\]]+)")
    for path in DEPLOY.rglob("*"):
        if not path.is_file() or path.suffix in {".sh", ".py"} or "secrets" in path.relative_to(DEPLOY).parts:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            for _, value in words.findall(re.sub(r"^\s*#.*", "", line)):
                assert value.startswith(("$", "@PASSWORD@", "/", "./")) or value.endswith(("-token", "-password")), (
                    path.name,
                    line,
                )


@pytest.mark.parametrize("name", ROLES)
def test_each_role_has_what_it_needs(services: dict[str, Any], secrets: Path, tmp_path: Path, name: str) -> None:
    """The settings of the container, with its secrets where they are here: they carry its role."""
    service = services[name]
    role = service["command"][service["command"].index("--role") + 1]
    assert name.startswith(role)
    file = tmp_path / "city.toml"
    text = (COMPOSE / "city.toml").read_text(encoding="utf-8")
    for secret in re.findall(r"/run/secrets/([\w-]+)", text):
        # a secret that this container is not given would stop it
        if secret in service["secrets"]:
            text = text.replace(f"/run/secrets/{secret}", str(secrets / secret))
    assert "/run/secrets" not in text
    file.write_text(text)
    env = {key: str(value) for key, value in service["environment"].items() if key.startswith("LUCHENG_")}
    env = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in env.items()}
    env = {key: value.replace("/run/secrets", str(secrets)) for key, value in env.items()}
    settings = load(file, env=env)
    check_roles(settings, roles_of(role))
    given = {
        value.rpartition("/")[2] for value in service["environment"].values() if str(value).startswith("/run/secrets")
    }
    assert given <= set(service["secrets"])
    assert settings.cluster.node == name
    assert settings.nats.require_sync
    if role == "desk":
        assert settings.web.listen == "0.0.0.0"
        assert settings.web.tls_cert_file is not None
    if role == "ingest":
        assert (settings.mqtt.url or "").split("//")[1].split(":")[0] in services


def test_names_and_ports_lead_to_services(services: dict[str, Any], whole: dict[str, Any]) -> None:
    city = tomllib.loads((COMPOSE / "city.toml").read_text(encoding="utf-8"))
    urls = [
        *city["nats"]["urls"].split(","),
        *city["nats"]["monitor_urls"].split(","),
        city["database"]["url"],
        city["influx"]["url"],
    ]
    for url in urls:
        host, port = url.split("//")[1].split("@")[-1].split("/")[0].split(":")
        assert host in services
        assert port in {"4222", "8222", "5432", "8086"}
    balancer = (COMPOSE / "haproxy.cfg").read_text(encoding="utf-8")
    for name, host, port in re.findall(r"server (\w+) (\w+):(\d+)", balancer):
        assert name == host
        assert host in services
        known = {"ingest": {city["gateway"]["jt_port"], city["gateway"]["gt06_port"]}, "desk": {8480}}
        assert int(port) in known[host.rstrip("12")]
    bound = set(re.findall(r"bind :(\d+)", balancer))
    assert {port.split(":")[-1] for port in services["balancer"]["ports"]} == bound
    assert city["gateway"]["proxy_protocol"] is True
    assert "send-proxy-v2" in balancer
    subnet = whole["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert city["gateway"]["proxy_sources"] in subnet
    bridges = re.findall(r"(\w+):1884", (COMPOSE / "edge.conf").read_text())
    assert bridges == ["mosquitto1", "mosquitto2"]
    assert set(bridges) <= set(services)


def test_mosquitto_differs_from_what_is_shipped_in_addresses_alone() -> None:
    own = {
        "listener",
        "password_file",
        "acl_file",
        "certfile",
        "keyfile",
        "addresses",
        "remote_password",
        "persistence_location",
    }
    # a container's memory is smaller than a machine's
    own |= {"max_queued_bytes", "bridge_cafile", "tls_version", "allow_anonymous", "use_username_as_clientid"}

    def lines(path: Path) -> list[str]:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in found if line and not line.startswith("#") and line.split()[0] not in own]

    for name in ("edge.conf", "ingest.conf"):
        assert lines(COMPOSE / name) == lines(ROOT / "config" / "files" / "mqtt_cluster" / name), name


def test_haproxy_takes_its_file() -> None:
    done = subprocess.run(
        [need_program("haproxy"), "-c", "-f", str(COMPOSE / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_context_of_the_build_has_what_is_built_and_no_secrets() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    taken = {line[1:] for line in ignored if line.startswith("!")}
    assert "deploy/secrets" not in taken
    assert not any((ROOT / "deploy" / "secrets").is_relative_to(ROOT / name) for name in taken)
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            if source not in {".", "web"}:
                assert (ROOT / source).exists(), source
                assert any(source == one or source.startswith(f"{one}/") for one in taken), source
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert set(packages) <= taken
    assert text.count("--require-hashes") == 2


def test_scripts_are_sound() -> None:
    for path in [*DEPLOY.glob("*.sh"), *(DEPLOY / "container").glob("*.sh")]:
        assert path.stat().st_mode & 0o111, path.name
        assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0, path.name
    if shutil.which("shellcheck"):
        scripts = [str(path) for path in [*DEPLOY.glob("*.sh"), *(DEPLOY / "container").glob("*.sh")]]
        done = subprocess.run(
            ["shellcheck", "-s", "sh", "-S", "warning", *scripts], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
