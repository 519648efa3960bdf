"""What `lucheng doctor` looks at for terminals: ports, open files, numbers, the desk's telephone, roles, the city's time.

Invariants: a port is tried by taking it for a moment, and where it is taken the running service is asked whether it is
its own; the registry is read only; nothing raises; where there is neither a terminal nor a port for one, nothing is said.
"""

from __future__ import annotations

import errno
import pwd
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from console.client import RemoteClient
from console.roles import role_of
from devices.numbers import Numbers, look_at_numbers
from devices.schema import RegistryFile
from lucheng.finding import Finding, State
from lucheng.open_files import SPARE_FILES, most_files
from lucheng.rooms import REGISTRY_FILE, SOCKET_FILE
from model.codes import Word
from model.errors import LuchengError
from model.role import Role

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock

#: The clock of JT/T terminals, whatever the city's.
JT_OFFSET = timedelta(hours=8)
#: How many names a line shows.
_SHOWN = 3
_ANSWER_S = 5.0
#: Ports by their setting's name: the value of `live` that says where the service listens, the protocols that need it, and
#: the port that such terminals commonly expect.
_PORTS = {
    "jt_port": ("gateway_jt_port", frozenset({"jt808", "jt905"}), 7611),
    "gt06_port": ("gateway_gt06_port", frozenset({"gt06"}), 5023),
    "osmand_port": ("osmand_port", frozenset({"osmand"}), 5055),
}


def terminals(data_dir: Path, settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Everything that terminals need."""
    status = _status(data_dir)
    known, trouble = _numbers(data_dir, clock)
    yield from trouble
    yield from _ports(settings, status, known)
    gateway = settings.gateway
    if gateway.jt_port or gateway.gt06_port or gateway.osmand_port:
        yield from open_files(gateway.max_connections + SPARE_FILES)
        yield from _time_zone(settings, clock)
    if known is not None:
        yield from _named(known)
        if known.taxis:
            yield from _telephone(settings)
            yield from _roles(settings)
    yield from _strangers(status)


def _status(data_dir: Path) -> dict[str, Any]:
    """What the running service says of itself; {} where none answers."""
    try:
        found: dict[str, Any] = RemoteClient(data_dir / SOCKET_FILE, answer_timeout_s=_ANSWER_S).call("status")
    except LuchengError:
        return {}
    return found


def _numbers(data_dir: Path, clock: Clock) -> tuple[Numbers | None, list[Finding]]:
    """What the registry holds, None where there is none; and why it cannot be read."""
    path = data_dir / REGISTRY_FILE
    try:
        if not path.exists():
            return None, []
        file = RegistryFile(path, clock=clock, read_only=True)
        try:
            return look_at_numbers(file), []
        finally:
            file.close()
    except OSError as error:
        why, mend = str(error.strerror), "run the doctor as the user of the service"
    except LuchengError as error:
        why, mend = error.message, error.mend
    return None, [Finding("registry", State.WARN, Word(f"not looked at: {why}", f"未检查：{why}"), mend)]


# -- ports --------------------------------------------------------------------------------------


def _ports(settings: Settings, status: Mapping[str, Any], known: Numbers | None) -> Iterator[Finding]:
    gateway = settings.gateway
    live = status.get("live", {})
    spoken = known.protocols if known is not None else frozenset()
    for name, (value, protocols, usual) in _PORTS.items():
        port, check = getattr(gateway, name), f"gateway.{name}"
        missing = ", ".join(sorted(protocols & spoken))
        if port:
            yield port_finding(check, gateway.listen, port, serves=int(live.get(value, 0)), runs=bool(status))
            if name == "jt_port" and gateway.jt_udp and int(live.get(value, 0)) != port:
                datagrams = port_finding(check, gateway.listen, port, udp=True)
                yield from [datagrams] if datagrams.failed else []
        elif missing and not live.get(value):
            found = Word(
                f"off, and devices are registered that speak {missing}", f"未开启，但已登记使用 {missing} 的设备"
            )
            yield Finding(check, State.WARN, found, f"set {check}, e.g. to {usual}, and start the service again")


def port_finding(
    check: str, listen: str, port: int, *, serves: int = 0, runs: bool = False, udp: bool = False
) -> Finding:
    """Whether a port can be listened on, or the running service does already.

    Args:
        check: the setting that names it.
        listen: address to listen on.
        port: the port.
        serves: port that the running service serves for this, 0 none.
        runs: whether a service runs on the data folder.
        udp: for datagrams.
    """
    where = f"{listen}:{port}" + ("/udp" if udp else "")
    if serves == port:
        return Finding(
            check, State.OK, Word(f"{where} is served by the running service", f"{where} 正由运行中的服务使用")
        )
    wrong = _cannot_listen(listen, port, udp=udp)
    if wrong is not None:
        why, mend = wrong
        found = Word(f"{where}: {why}", f"{where}：{why}")
        return Finding(check, State.MISSING, found, mend.format(check=check, port=port))
    if runs and not udp:
        found = Word(
            f"{where} is free, but the running service does not serve it", f"{where} 空闲，但运行中的服务未监听"
        )
        return Finding(check, State.WARN, found, "start the service again, with these settings")
    return Finding(check, State.OK, Word(f"{where} is free", f"{where} 空闲"))


def _cannot_listen(listen: str, port: int, *, udp: bool) -> tuple[str, str] | None:
    """Why not, and what mends it; None when it can be."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0 if udp else 1)
            probe.bind((listen, port))
            if not udp:
                probe.listen(1)
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            off = ", or gateway.jt_udp = false" if udp else ""
            return why, f"set another {{check}}{off}, or end what has it: ss -lntup 'sport = :{{port}}'"
        if error.errno in (errno.EACCES, errno.EPERM):
            return why, "set a {check} above 1023"
        return why, "set gateway.listen to an address of this machine: ip -br address"
    return None


def open_files(needed: int) -> Iterator[Finding]:
    """Whether the service may hold so many files open; it raises its limit by itself as far as the machine lets it."""
    allowed = most_files()
    good = allowed >= needed
    found = Word(
        f"{allowed} open files at most; one for each terminal of gateway.max_connections, and some more: {needed}",
        f"最多可打开文件数 {allowed}；按 gateway.max_connections 每终端一个，共需 {needed}",
    )
    mend = "" if good else f"ulimit -Hn {needed} (systemd: LimitNOFILE={needed}), or lower gateway.max_connections"
    yield Finding("terminals' files", State.OK if good else State.WARN, found, mend)


def _time_zone(settings: Settings, clock: Clock) -> Iterator[Finding]:
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).astimezone(ZoneInfo(settings.city.time_zone))
    text = f"{now:%Y-%m-%d %H:%M} {settings.city.time_zone}"
    if settings.gateway.jt_port and now.utcoffset() != JT_OFFSET:
        found = Word(
            f"{text}; JT/T terminals tell Beijing time (UTC+8), whatever the city's",
            f"{text}；JT/T 终端按北京时间（UTC+8）上报",
        )
        yield Finding("time zone", State.WARN, found, "correct city.time_zone, or have the terminals set to UTC+8")
    else:
        yield Finding("time zone", State.OK, Word(text, text))


# -- who is registered --------------------------------------------------------------------------


def _shown(names: tuple[str, ...]) -> str:
    more = f" … ({len(names)})" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _named(known: Numbers) -> Iterator[Finding]:
    if known.numberless:
        names = _shown(known.numberless)
        found = Word(f"no number, so nobody can be known by it: {names}", f"未登记终端号，无法识别：{names}")
        yield Finding(
            "terminal numbers",
            State.WARN,
            found,
            "lucheng device import FILE.csv with the columns id,phone (gt06: imei)",
        )
    for number, devices in list(known.shared.items())[:_SHOWN]:
        names = _shown(devices)
        found = Word(f"{number} is the number of {names}; the first is meant", f"{number} 同属 {names}，以首个为准")
        yield Finding(
            "terminal numbers", State.WARN, found, f"lucheng device disable {devices[-1]}, or correct its number"
        )
    if known.protocols and not known.numberless and not known.shared:
        yield Finding("terminal numbers", State.OK, Word("every terminal has its own", "每个终端号唯一"))


def _strangers(status: Mapping[str, Any]) -> Iterator[Finding]:
    count = int(status.get("quarantined", {}).get("unknown_device", 0))
    if count:
        found = Word(
            f"{count} things came from devices or numbers that nobody registered",
            f"{count} 条数据来自未登记的设备或号码",
        )
        yield Finding(
            "strangers",
            State.WARN,
            found,
            "lucheng quarantine list --reason unknown_device, then lucheng device add taxi/… --phone …",
        )


def _telephone(settings: Settings) -> Iterator[Finding]:
    number = settings.desk.phone_number
    if number:
        yield Finding("desk.phone_number", State.OK, Word(f"terminals dial {number}", f"终端回拨 {number}"))
    else:
        found = Word(
            "not set: no listen-in and no call, since a taxi's terminal has nothing to dial",
            "未设置：终端无号可拨，无法监听与通话",
        )
        yield Finding("desk.phone_number", State.WARN, found, 'set desk.phone_number = "…" to the desk\'s telephone')


def _roles(settings: Settings) -> Iterator[Finding]:
    users = {name: role_of(settings, name) for name in settings.operators.users}
    strangers = tuple(name for name in users if not _has_account(name))
    if strangers:
        names = _shown(strangers)
        found = Word(f"no user of this machine: {names}", f"本机无此用户：{names}")
        yield Finding("operators.users", State.WARN, found, "correct the names: getent passwd")
    everybody = Role(settings.operators.default_role)
    leads = [name for name, role in users.items() if role is Role.SUPERVISOR]
    asking = [name for name, role in users.items() if role in (Role.SUPERVISOR, Role.OFFICER)]
    deciding = [name for name, role in users.items() if role in (Role.SUPERVISOR, Role.APPROVER)]
    two = any(one != other for one in asking for other in deciding)
    if everybody is Role.SUPERVISOR or (leads and two):
        names = _shown(tuple(leads)) or "*"
        yield Finding("operators", State.OK, Word(f"supervisors: {names}", f"值班长：{names}"))
        return
    lacks = Word("nobody may listen in or approve", "无人可监听或审批")
    if leads:
        lacks = Word("no second person who may approve cut_power", "断油电缺少第二名审批人")
    mend = 'set operators.users = { alice = "supervisor", bob = "approver" }'
    yield Finding("operators", State.WARN, lacks, mend)


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
