"""What a terminal is to do, one action a line, and the doing of it.

Purpose: `parse` reads a script whole before anything is sent, so that a mistake in its last line costs nothing; `Player`
carries it out. Invariants: an error names its line and what to write. The text of each action's help is in `ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.clock import Clock
from model.codes import Word
from model.errors import BadInput, LuchengError
from simulator.terminal import media
from simulator.terminal.fix import loop_fix
from simulator.terminal.terminal import Terminal

#: Lines of one script, and places of one batch.
DEFAULT_MAX_LINES = 10_000
MAX_BATCH = 1_000
#: Largest file that a script may send, bytes.
DEFAULT_MAX_FILE_BYTES = 1 << 20
DEFAULT_EXPECT_S = 10.0
_BATCH_STEP_MS = 10_000
_TRIP_MS = 600_000


@dataclass(frozen=True, slots=True)
class Action:
    """One action: how it is written, and what it does."""

    usage: str
    words: Word


ACTIONS: dict[str, Action] = {
    "position": Action("position (LAT LON (KMH))", Word("a place, here or there", "发送定位，可指定位置与速度")),
    "batch": Action("batch N MINUTES_AGO", Word("N old places in one message", "补传 N 个旧定位")),
    "sos": Action("sos (off)", Word("press the button, or let go", "按下或松开报警按钮")),
    "photo": Action("photo FILE|WxH (lose 3,7)", Word("a photo; some parts lost at first", "上传照片，可先丢失若干分包")),
    "audio": Action("audio SECONDS", Word("a sound", "上传录音")),
    "heartbeat": Action("heartbeat", Word("a heartbeat", "心跳")),
    "drive": Action("drive SECONDS", Word("drive on, at --rate", "按 --rate 行驶并上报")),
    "sleep": Action("sleep SECONDS", Word("be quiet; orders are still obeyed", "静默，仍执行下行指令")),
    "sign_on": Action("sign_on", Word("the driver's shift begins (jt905)", "上班签到（jt905）")),
    "sign_off": Action("sign_off", Word("… and ends", "下班签退")),
    "trip": Action("trip", Word("a trip's record (jt905)", "营运数据（jt905）")),
    "disconnect": Action("disconnect", Word("end the connection in order", "正常断开")),
    "drop": Action("drop", Word("break the connection", "异常断开")),
    "reconnect": Action("reconnect", Word("come back, and send what was not answered", "重连并补发未应答的消息")),
    "expect": Action("expect ID (SECONDS)", Word("wait for a message, e.g. expect 8801 10", "等待下行消息，如 expect 8801 10")),
    "refuse": Action("refuse ID (RESULT)", Word("refuse it from now on", "此后拒绝该指令")),
    "silent": Action("silent ID", Word("do not answer it from now on", "此后不应答该指令")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a script."""

    line: int
    name: str
    numbers: tuple[float, ...] = ()
    word: str = ""
    parts: tuple[int, ...] = ()


def parse(text: str, folder: Path = Path()) -> list[Step]:
    """The steps of a script; `#` begins a remark. BadInput names the first wrong line. `folder` is where its files are."""
    lines = text.splitlines()
    if len(lines) > DEFAULT_MAX_LINES:
        raise BadInput(f"The script has {len(lines)} lines.", mend=f"At most {DEFAULT_MAX_LINES} can be played.")
    steps = []
    for line, raw in enumerate(lines, start=1):
        words = raw.partition("#")[0].split()
        if words:
            steps.append(_step(line, words[0], words[1:], folder))
    return steps


def _step(line: int, name: str, rest: list[str], folder: Path) -> Step:
    action = ACTIONS.get(name)
    if action is None:
        raise BadInput(f"Line {line}: {name[:40]!r} is no action.", mend="Use one of " + ", ".join(ACTIONS) + ".")
    try:
        return _READERS[name](line, name, rest, folder)
    except (ValueError, IndexError, OSError) as error:
        raise BadInput(
            f"Line {line}: {' '.join([name, *rest])[:80]!r}: {error}.", mend=f"Write {action.usage}."
        ) from error


def _plain(line: int, name: str, rest: list[str], _folder: Path) -> Step:
    if rest:
        raise ValueError("nothing may follow")
    return Step(line, name)


def _numbers(least: int, most: int) -> Callable[[int, str, list[str], Path], Step]:
    def read(line: int, name: str, rest: list[str], _folder: Path) -> Step:
        if not least <= len(rest) <= most:
            raise ValueError(f"{len(rest)} numbers")
        found = tuple(float(word) for word in rest)
        if not all(-1e6 < number < 1e6 for number in found):
            raise ValueError("a number is out of range")
        return Step(line, name, found)

    return read


def _position(line: int, name: str, rest: list[str], folder: Path) -> Step:
    step = _numbers(0, 3)(line, name, rest, folder)
    if len(step.numbers) == 1 or not _on_earth(step.numbers[:2]):
        raise ValueError("that is no place")
    return step


def _on_earth(place: Sequence[float]) -> bool:
    return not place or (abs(place[0]) <= 90 and abs(place[1]) <= 180)


def _batch(line: int, name: str, rest: list[str], folder: Path) -> Step:
    step = _numbers(2, 2)(line, name, rest, folder)
    if not 1 <= step.numbers[0] <= MAX_BATCH or step.numbers[1] < 0:
        raise ValueError(f"give 1 to {MAX_BATCH} places, and minutes that are past")
    return step


def _wait(line: int, name: str, rest: list[str], folder: Path) -> Step:
    step = _numbers(1, 1)(line, name, rest, folder)
    if step.numbers[0] < 0:
        raise ValueError("that is less than nothing")
    return step


def _sos(line: int, name: str, rest: list[str], _folder: Path) -> Step:
    if rest not in ([], ["off"]):
        raise ValueError("only `off` may follow")
    return Step(line, name, word="".join(rest))


def _photo(line: int, name: str, rest: list[str], folder: Path) -> Step:
    parts: tuple[int, ...] = ()
    if len(rest) == 3 and rest[1] == "lose":
        parts = tuple(int(word) for word in rest[2].split(","))
    elif len(rest) != 1:
        raise ValueError("one file or size")
    _picture(rest[0], folder)
    return Step(line, name, word=str(folder / rest[0]) if _size(rest[0]) is None else rest[0], parts=parts)


def _size(word: str) -> tuple[int, int] | None:
    width, _, height = word.partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _picture(word: str, folder: Path = Path()) -> bytes:
    size = _size(word)
    if size is not None:
        return media.picture(*size)
    path = folder / word
    if path.stat().st_size > DEFAULT_MAX_FILE_BYTES:
        raise ValueError(f"the file is larger than {DEFAULT_MAX_FILE_BYTES} bytes")
    return path.read_bytes()


def _message(line: int, name: str, rest: list[str], _folder: Path) -> Step:
    most = 1 if name == "silent" else 2
    if not 1 <= len(rest) <= most:
        raise ValueError("a message's number is wanted")
    number = int(rest[0], 16)
    if not 0 <= number <= 0xFFFF:
        raise ValueError("that is no message's number")
    return Step(line, name, (float(number), *(float(word) for word in rest[1:])))


_READERS: dict[str, Callable[[int, str, list[str], Path], Step]] = {
    **dict.fromkeys(ACTIONS, _plain),
    "position": _position, "batch": _batch, "sos": _sos, "photo": _photo, "sleep": _wait, "drive": _wait,
    "audio": _wait, "expect": _message, "refuse": _message, "silent": _message,
}  # fmt: skip


class Player:
    """Carries a script out.

    Args:
        terminal: online already.
        clock: measures sleeps.
        rate_per_s: places a second while it drives.
    """

    def __init__(self, terminal: Terminal, clock: Clock, *, rate_per_s: float = 1.0) -> None:
        self._terminal, self._clock, self._rate_per_s = terminal, clock, rate_per_s

    def play(self, steps: Sequence[Step]) -> None:
        """All steps, in order. An error says the line in which it happened."""
        for step in steps:
            try:
                self._do(step)
            except LuchengError as error:
                error.message = f"Line {step.line} ({step.name}): {error.message}"
                raise

    def drive(self, seconds: float) -> None:
        """Drive on and report places, as often as `rate_per_s` says or the platform ordered."""
        until_s = self._clock.monotonic_s() + seconds
        while True:
            self._terminal.send_positions([self._terminal.fix_now()])
            tracking = self._terminal.tracking
            wait_s = float(tracking[0]) if tracking is not None else 1.0 / self._rate_per_s
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= wait_s:
                self._clock.sleep(max(left_s, 0.0))
                return
            self._clock.sleep(wait_s)

    def _do(self, step: Step) -> None:
        self._DOINGS[step.name](self, step)

    def _position(self, step: Step) -> None:
        fix = self._terminal.fix_now()
        if step.numbers:
            lat, lon, *speed = step.numbers
            fix = type(fix)(fix.time_ms, lat, lon, speed[0] if speed else 0.0, fix.heading_deg)
        self._terminal.send_positions([fix])

    def _batch(self, step: Step) -> None:
        count, start_ms = int(step.numbers[0]), self._clock.now_ms() - int(step.numbers[1] * 60_000)
        here = self._terminal
        fixes = [
            loop_fix(start_ms + at * _BATCH_STEP_MS, place=here.place, seed=here.seed)
            for at in range(count)
            if at == 0 or start_ms + at * _BATCH_STEP_MS < self._clock.now_ms()
        ]
        self._terminal.send_batch(fixes)

    def _sos(self, step: Step) -> None:
        if step.word:
            self._terminal.release_sos()
        else:
            self._terminal.press_sos()

    def _photo(self, step: Step) -> None:
        self._terminal.send_photo(_picture(step.word), self._terminal.next_media_id(), lose=step.parts)

    def _audio(self, step: Step) -> None:
        self._terminal.send_audio(media.sound(step.numbers[0]), self._terminal.next_media_id())

    def _trip(self, _step: Step) -> None:
        now_ms = self._clock.now_ms()
        began = loop_fix(now_ms - _TRIP_MS, place=self._terminal.place, seed=self._terminal.seed)
        self._terminal.trip_record(began, self._terminal.fix_now())

    def _expect(self, step: Step) -> None:
        self._terminal.wait_for(int(step.numbers[0]), step.numbers[1] if len(step.numbers) > 1 else DEFAULT_EXPECT_S)

    def _refuse(self, step: Step) -> None:
        self._terminal.refusing[int(step.numbers[0])] = int(step.numbers[1]) if len(step.numbers) > 1 else 1

    def _silent(self, step: Step) -> None:
        self._terminal.silent.add(int(step.numbers[0]))

    _DOINGS: dict[str, Callable[[Player, Step], object]] = {  # noqa: RUF012 a table, never changed
        "position": _position, "batch": _batch, "sos": _sos, "photo": _photo, "audio": _audio, "trip": _trip,
        "expect": _expect, "refuse": _refuse, "silent": _silent,
        "heartbeat": lambda self, _step: self._terminal.heartbeat(),
        "drive": lambda self, step: self.drive(step.numbers[0]),
        "sleep": lambda self, step: self._clock.sleep(step.numbers[0]),
        "sign_on": lambda self, _step: self._terminal.sign_on(),
        "sign_off": lambda self, _step: self._terminal.sign_off(),
        "disconnect": lambda self, _step: self._terminal.close(),
        "drop": lambda self, _step: self._terminal.drop(),
        "reconnect": lambda self, _step: self._terminal.reconnect(),
    }  # fmt: skip
