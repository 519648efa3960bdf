"""`lucheng doctor`: what is missing on this machine, what it means, and the command that mends it.

Changes nothing but a file it makes and removes in the data folder, and messages on a private topic
of a foreign broker. What terminals need is in `doctor_terminals`, what InfluxDB needs in `doctor_series`, what
several processes need in `doctor_cluster`. Each check is a function that returns findings; none raises.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from config.sections import BROKER_SCHEMES, Settings, split_url
from config.settings import broker_user, read_secret
from lucheng.broker import find_mosquitto
from lucheng.broker_probe import BrokerAddress, Measured, measure, reachable
from lucheng.doctor_cluster import cluster
from lucheng.doctor_series import series
from lucheng.doctor_terminals import terminals
from lucheng.finding import Finding, State
from lucheng.open_files import GOOD_OPEN_FILES, most_files
from model.clock import Clock, SystemClock
from model.codes import Word
from model.errors import LuchengError

MIN_PYTHON = (3, 11)
#: Below this the folder is as good as full: a day of a city's points and the logs.
MIN_FREE_BYTES = 1024**3
GOOD_FREE_BYTES = 10 * 1024**3
#: The wall clock and the monotonic clock may drift so far apart while we look.
MAX_STEP_MS = 50
_LOOK_S = 0.2
_DAY_S = 86_400
#: SQLite's write-ahead log needs memory shared between processes, which these do not give.
_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)
_VOLATILE = frozenset({"tmpfs", "ramfs"})


def examine(data_dir: Path, settings: Settings, clock: Clock | None = None) -> list[Finding]:
    """Look at everything; takes some seconds where a foreign broker is measured."""
    clock = clock or SystemClock()
    return [
        *_python(),
        *_mosquitto(settings),
        *_folder(data_dir),
        *_open_files(),
        *_clock(clock),
        *_terminal(),
        *_secrets(settings),
        *_broker(settings, clock),
        *terminals(data_dir, settings, clock),
        *series(data_dir, settings),
        *cluster(data_dir, settings, clock),
    ]


def _python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Iterator[Finding]:
    text = ".".join(map(str, version))
    good = version[:2] >= MIN_PYTHON
    mend = "" if good else "apt-get install python3 python3-venv && make env"
    yield Finding("python", State.OK if good else State.MISSING, Word(f"Python {text}", f"Python {text}"), mend)


def _mosquitto(settings: Settings) -> Iterator[Finding]:
    program = find_mosquitto()
    if program is not None:
        yield Finding("mosquitto", State.OK, Word(program, program))
    elif settings.mqtt.url is not None:
        yield Finding(
            "mosquitto",
            State.OK,
            Word("not installed, and not needed: mqtt.url is set", "未安装；已设置 mqtt.url，无需安装"),
        )
    else:
        forced = settings.broker.program == "mosquitto"
        found = Word("not installed; amqtt stands in, for a demo", "未安装；由 amqtt 代替，仅供演示")
        yield Finding("mosquitto", State.MISSING if forced else State.WARN, found, "apt-get install mosquitto")


def _folder(data_dir: Path) -> Iterator[Finding]:
    place = data_dir.resolve()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as probe:
            probe.write(b"x")
            probe.flush()
            os.fsync(probe.fileno())
        yield Finding("data folder", State.OK, Word(f"{data_dir} can be written", f"{data_dir} 可写"))
    except OSError as error:
        why = error.strerror or str(error)
        found = Word(f"{place} cannot be written: {why}", f"{place} 不可写：{why}")
        yield Finding("data folder", State.MISSING, found, f"chown {os.getuid()} {place}, or name another with --data")
    kind = file_system(place)
    if kind in _REMOTE:
        found = Word(f"{kind}: the databases need a local disk", f"{kind}：数据库需要本地磁盘")
        yield Finding("file system", State.MISSING, found, "put --data on a local disk")
    elif kind in _VOLATILE:
        found = Word(f"{kind}: gone after a restart of the machine", f"{kind}：重启后数据丢失")
        yield Finding("file system", State.WARN, found, "put --data on a disk")
    else:
        yield Finding("file system", State.OK, Word(kind, kind))
    free = shutil.disk_usage(place).free
    state = State.OK if free >= GOOD_FREE_BYTES else State.WARN if free >= MIN_FREE_BYTES else State.MISSING
    mend = "" if state == State.OK else "free space there, or lower series.retention_days"
    gib = f"{free / 1024**3:.1f} GiB"
    yield Finding("free space", state, Word(f"{gib} free", f"可用 {gib}"), mend)


def file_system(place: Path, mounts: str | None = None) -> str:
    """The type of the file system that holds `place`, as the kernel names it; "unknown" where it does not tell."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace") if mounts is None else mounts
    except OSError:
        return "unknown"
    best, kind = -1, "unknown"
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split()
        if not dash or len(fields) < 5 or not right:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if (place == point or point in place.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind


def _open_files() -> Iterator[Finding]:
    allowed = most_files()
    good = allowed >= GOOD_OPEN_FILES
    found = Word(
        f"{allowed} open files at most; the embedded broker needs one for each device",
        f"最多可打开文件数 {allowed}；内置服务器每台设备占用一个",
    )
    yield Finding("open files", State.OK if good else State.WARN, found, "" if good else "ulimit -Hn 65536")


def _clock(clock: Clock, built_s: float | None = None) -> Iterator[Finding]:
    built_s = Path(__file__).stat().st_mtime if built_s is None else built_s
    wall_ms, steady_s = clock.now_ms(), clock.monotonic_s()
    clock.sleep(_LOOK_S)
    step_ms = (clock.now_ms() - wall_ms) - (clock.monotonic_s() - steady_s) * 1000
    now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(wall_ms / 1000))
    mend = "timedatectl set-ntp true"
    if wall_ms / 1000 < built_s - _DAY_S:
        found = Word(f"{now} lies before this program was installed", f"{now} 早于本程序的安装时间")
        yield Finding("clock", State.MISSING, found, mend)
    elif abs(step_ms) > MAX_STEP_MS:
        found = Word(
            f"{now}; it stepped by {step_ms:.0f} ms while we looked", f"{now}；检查期间跳变 {step_ms:.0f} 毫秒"
        )
        yield Finding("clock", State.WARN, found, mend)
    else:
        yield Finding("clock", State.OK, Word(now, now))


def _terminal() -> Iterator[Finding]:
    term = os.environ.get("TERM", "")
    utf8 = "utf" in (sys.stdout.encoding or "").lower()
    if term in {"", "dumb"} or not utf8:
        found = Word(
            f"TERM={term or 'not set'}, {sys.stdout.encoding}: no live picture",
            f"TERM={term or '未设置'}，{sys.stdout.encoding}：无法显示实时画面",
        )
        yield Finding("terminal", State.WARN, found, "export TERM=xterm-256color LC_ALL=C.UTF-8")
    else:
        yield Finding("terminal", State.OK, Word(f"{term} on {platform.system()}", f"{term}（{platform.system()}）"))


def _secrets(settings: Settings) -> Iterator[Finding]:
    for path in (settings.mqtt.password_file, settings.mqtt.doctor_password_file, settings.influx.token_file):
        if path is None:
            continue
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            found = Word(f"{path}: {error.strerror}", f"{path}：{error.strerror}")
            yield Finding("secret file", State.MISSING, found, "make the file again")
            continue
        state = State.WARN if mode & 0o077 else State.OK
        found = Word(f"{path} has mode {mode:o}", f"{path} 权限为 {mode:o}")
        yield Finding("secret file", state, found, f"chmod 600 {path}" if mode & 0o077 else "")


def _broker(settings: Settings, clock: Clock) -> Iterator[Finding]:
    mqtt = settings.mqtt
    if mqtt.url is None:
        return
    parts = split_url(mqtt.url)
    port, tls = BROKER_SCHEMES[parts.scheme]
    host = parts.hostname or ""
    address = BrokerAddress(host, parts.port or port, tls, mqtt.ca_file)
    trouble = reachable(address)
    if trouble:
        found = Word(f"{host}:{address.port}: {trouble}", f"{host}:{address.port}：{trouble}")
        yield Finding("broker", State.MISSING, found, "start it, or correct mqtt.url")
        return
    yield Finding("broker", State.OK, Word(f"{host}:{address.port} answers", f"{host}:{address.port} 有应答"))
    if settings.nats.mqtt:
        return  # the window is ours to ask for there, and no account may publish what is measured
    try:
        user, _password = broker_user(settings)
        if user is not None:
            if mqtt.doctor_username is None:
                found = Word(
                    "not measured: the service's own account must not be used twice", "未测量：服务自身账号不可重复使用"
                )
                yield Finding(
                    "broker window", State.WARN, found, "set mqtt.doctor_username and mqtt.doctor_password_file"
                )
                return
            secret = read_secret(mqtt.doctor_password_file) if mqtt.doctor_password_file else None
            address = BrokerAddress(host, address.port, tls, mqtt.ca_file, mqtt.doctor_username, secret)
        yield from _judged(measure(address, clock))
    except LuchengError as error:
        yield Finding(
            "broker window",
            State.WARN,
            Word(f"not measured: {error}", f"未测量：{error}"),
            "give the account lucheng/v1/doctor/#",
        )


def _judged(measured: Measured) -> Iterator[Finding]:
    wide = measured.window >= measured.sent
    more = " or more" if wide else ""
    found = Word(
        f"{measured.window}{more} messages on their way without an acknowledgement",
        f"未确认即可下发 {measured.window} 条消息{'以上' if wide else ''}",
    )
    mend = "" if wide else "max_inflight_messages 20000 in mosquitto.conf, then restart it"
    yield Finding("broker window", State.OK if wide else State.WARN, found, mend)
    lost = measured.sent - measured.received
    if lost:
        found = Word(f"{lost} of {measured.sent} messages dropped", f"{measured.sent} 条消息丢弃 {lost} 条")
        yield Finding("broker queue", State.WARN, found, "max_queued_messages 0 in mosquitto.conf, then restart it")
    else:
        found = Word(f"{measured.sent} of {measured.sent} messages came", f"{measured.sent} 条消息全部到达")
        yield Finding("broker queue", State.OK, found)
