"""`Terminals`: which device speaks under a terminal number, and which terminal is bound to it.

A number is what a terminal calls itself on the wire: the phone number of JT/T 808, the ISU of JT/T 905 (both the field
`phone` of a device) or the IMEI of GT06 (`imei`), digits without leading zeros. Invariants: a look-up is one dict; the
registry alone says which numbers there are, so a stranger's number finds nothing; the first terminal that registers for a
device is bound to it, durably, before it is answered, and no other until a technician releases it; a token is made from
the data folder's secret key, the device and the generation of its binding, is nowhere stored, and fails after a release
and while the device is disabled. What a number or a token can prove is said in docs/design/terminals.md. It speaks no
protocol and knows no connection.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.details import unique_key
from devices.directory import Directory
from devices.rows import get_device, holders
from devices.schema import Change, RegistryFile
from devices.terminal_rows import Bound, RegisterAnswer, Registering, Result, Terminal
from devices.terminal_tokens import MAX_TOKEN_CHARS, TerminalTokens
from model.device import check_device_id
from model.errors import LuchengError, NotFound, UsageError
from store.database import Connection

__all__ = ["Bound", "RegisterAnswer", "Registering", "Result", "Terminal", "Terminals"]

#: Longest text that is kept of what a terminal says of itself, characters.
DEFAULT_MAX_TEXT_CHARS = 60
#: Registrations written in one transaction at most.
MAX_REGISTRATIONS = 10_000
#: Rows of one list.
MAX_PAGE_ROWS = 10_000
DEFAULT_PAGE_ROWS = 100

_READ_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class _Binding:
    """A row of the table `terminal`; `bound` False: released, only the generation counts."""

    bound: bool
    terminal_id: str
    generation: int


class Terminals:
    """Terminals by number; any thread may call anything.

    Args:
        file: the registry's file (`Registry.file`).
        directory: the process's own; a change that it shows is taken over by the next `find`.
        key_file: the data folder's secret key (`devices.secrets`); made when it is first needed.
        max_text_chars: longest text that is kept of what a terminal says of itself.
    """

    def __init__(
        self,
        file: RegistryFile,
        directory: Directory,
        *,
        key_file: Path,
        max_text_chars: int = DEFAULT_MAX_TEXT_CHARS,
    ) -> None:
        self._file = file
        self._directory = directory
        self._tokens = TerminalTokens(file, key_file)
        self._max_text_chars = max_text_chars
        self._version = -1
        self._refreshing = threading.Lock()
        self._by_number: dict[str, Terminal] = {}
        #: Further devices with a number that is in `_by_number`: those whose terminal was replaced, as a rule.
        self._others: dict[str, list[Terminal]] = {}
        #: By slot the number under which the device is found; those who have two are in `_second`.
        self._number: list[str] = []
        self._second: dict[int, str] = {}
        self._bindings: dict[int, _Binding] = {}
        self._texts: dict[str, str] = {}

    def prepare(self) -> None:
        """Read everything and the key now, so that nothing is missing when the first terminal comes. Raises StoreError, Refused."""
        self.refresh()
        self._tokens.prepare()

    def __len__(self) -> int:
        """How many numbers are known."""
        return len(self._by_number)

    def find(self, number: str) -> Terminal | None:
        """The device that speaks under `number`, enabled or not; None when there is none.

        Of several devices with the number the enabled one is meant, of several of those the one with the lowest slot. Never
        waits for somebody who is changing the registry: what was known a moment ago is answered then.
        """
        if self._directory.version > self._version or self._version < 0:
            self._catch_up()
        return self._by_number.get(number) or self._by_number.get(number_digits(number))

    def register(
        self, number: str, *, plate: str, terminal_id: str, maker: str, model: str, now_ms: int
    ) -> RegisterAnswer:
        """Register one terminal; see `register_all`."""
        return self.register_all([Registering(number, plate, terminal_id, maker, model, now_ms)])[0]

    def register_all(self, asked: Sequence[Registering]) -> list[RegisterAnswer]:
        """Answer registrations, in order; those that bind a terminal are durable, all in one transaction, before it returns.

        A number that is not registered or disabled is `NO_TERMINAL`; a plate that contradicts the registry's is
        `NO_VEHICLE`; one that is another device's is `VEHICLE_TAKEN`; a terminal id other than the one bound is
        `TERMINAL_TAKEN`. The bound terminal gets the same token again, and nothing is written for it.

        Raises UsageError (more than `MAX_REGISTRATIONS`), StoreError, Refused (the key file).
        """
        if len(asked) > MAX_REGISTRATIONS:
            raise UsageError(f"{len(asked)} registrations at once.", mend=f"Give {MAX_REGISTRATIONS} at most.")
        answers: list[RegisterAnswer | None] = []
        first: list[tuple[int, Terminal]] = []
        for place, one in enumerate(asked):
            terminal = self.find(one.number)
            answer = _refused(terminal, one)
            if answer is None and terminal is not None:
                binding = self._bindings.get(terminal.slot)
                if binding is not None and binding.bound:
                    answer = self._answer(terminal, binding, self._tidy(one.terminal_id))
                else:
                    first.append((place, terminal))
            answers.append(answer)
        if first:
            self._tokens.prepare()  # without a key no binding: a terminal could not authenticate
            made: dict[int, _Binding] = {}
            with self._file.changing() as change:
                for place, terminal in first:
                    answers[place] = self._bind(change, terminal, asked[place], made)
            self._bindings.update(made)
        return [answer for answer in answers if answer is not None]

    def check(self, number: str, token: str) -> bool:
        """Whether `token` is the one that the terminal bound to `number` was given; in constant time."""
        terminal = self.find(number)
        binding = self._bindings.get(terminal.slot) if terminal is not None else None
        given = token[:MAX_TOKEN_CHARS].encode("utf-8", "surrogatepass")
        if terminal is None or binding is None:
            hmac.compare_digest(self._tokens.of(-1, "", 0).encode(), given)
            return False
        right = hmac.compare_digest(self._tokens.of(terminal.slot, terminal.device, binding.generation).encode(), given)
        return right and terminal.enabled and binding.bound

    def release(self, device_id: str) -> None:
        """Let another terminal register for the device; the old one's token fails from now on.

        Raises UsageError, NotFound (no such device, or no terminal bound to it), StoreError.
        """
        check_device_id(device_id)
        with self._file.changing() as change:
            device = get_device(change.connection, device_id)
            found = _binding(change.connection, device.slot)
            if found is None or not found.bound:
                raise NotFound(f"No terminal is bound to {device_id}.", mend="Nothing to release.")
            change.connection.execute(
                "UPDATE terminal SET bound = 0, terminal_id = '', maker = '', model = '', generation = generation + 1,"
                " changed = ? WHERE slot = ?",
                (change.version, device.slot),
            )
            released = _Binding(bound=False, terminal_id="", generation=found.generation + 1)
        self._bindings[device.slot] = released

    def list(self, *, after: int = -1, limit: int = DEFAULT_PAGE_ROWS) -> list[Bound]:
        """The bound terminals in order of slot, one page, `after` the slot of the last one of the page before."""
        if not 1 <= limit <= MAX_PAGE_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {MAX_PAGE_ROWS}.")
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT d.slot, d.id, d.phone_key, d.imei_key, d.protocol, d.enabled, d.plate, t.terminal_id, t.maker,"
                " t.model, t.generation, t.registered_ms FROM terminal t JOIN device d ON d.slot = t.slot"
                " WHERE t.bound = 1 AND d.deleted = 0 AND t.slot > ? ORDER BY t.slot LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            Bound(slot, device, number_digits(phone) or number_digits(imei), protocol, bool(enabled), *rest)
            for slot, device, phone, imei, protocol, enabled, *rest in rows
        ]

    def bound(self, device_slot: int) -> bool:
        """Whether a terminal is bound to the device in that slot."""
        found = self._bindings.get(device_slot)
        return found is not None and found.bound

    # -- keeping in step ----------------------------------------------------------------------

    def refresh(self) -> bool:
        """Take over what changed in the registry; True when anything had. Costs time in proportion to the changed devices."""
        with self._refreshing, self._file.reading() as connection:
            return self._take_changes(connection)

    def _catch_up(self) -> None:
        """As `refresh`, but once something is known never waits, and never raises."""
        if self._version < 0:
            self.refresh()
            return
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            if self._file.lock.acquire(blocking=False):
                try:
                    with self._file.reading() as connection:
                        self._take_changes(connection)
                finally:
                    self._file.lock.release()
        except LuchengError:
            return  # what was known a moment ago; the next call tries again
        finally:
            self._refreshing.release()

    def _take_changes(self, connection: Connection) -> bool:
        version: int = connection.execute("SELECT version FROM state").fetchone()[0]
        if version == self._version:
            return False
        which = "changed > ?" if self._version >= 0 else "+changed > ? AND (phone_key <> '' OR imei_key <> '')"
        cursor = connection.execute(
            f"SELECT slot, id, enabled, deleted, phone_key, imei_key, protocol, plate, model FROM device WHERE {which}",  # noqa: S608  # two constants
            (self._version,),
        )
        while rows := cursor.fetchmany(_READ_ROWS):
            for row in rows:
                self._take_device(*row)
        bound = connection.execute(
            "SELECT slot, bound, terminal_id, generation FROM terminal WHERE changed > ?", (self._version,)
        )
        self._bindings.update((slot, _Binding(bool(on), name, count)) for slot, on, name, count in bound)
        self._version = version
        return True

    def _take_device(
        self,
        slot: int,
        device: str,
        enabled: int,
        deleted: int,
        phone: str,
        imei: str,
        protocol: str,
        plate: str,
        model: str,
    ) -> None:
        numbers = [] if deleted else [number for number in (number_digits(phone), number_digits(imei)) if number]
        ids = self._directory.ids
        share = self._texts.setdefault  # a few protocols and models among very many devices
        terminal = Terminal(
            slot,
            ids[slot] if slot < len(ids) and ids[slot] == device else device,
            share(protocol, protocol),
            bool(enabled),
            plate,
            share(model, model),
        )
        if slot >= len(self._number):
            self._number.extend([""] * (slot + 1 - len(self._number)))
        before = (self._number[slot], self._second.pop(slot, ""))
        for number in numbers:
            self._place(number, slot, terminal)
        for number in before:
            if number and number not in numbers:
                self._place(number, slot, None)
        self._number[slot] = numbers[0] if numbers else ""
        if len(numbers) > 1:
            self._second[slot] = numbers[1]
        if deleted:
            self._bindings.pop(slot, None)

    def _place(self, number: str, slot: int, terminal: Terminal | None) -> None:
        """Put `terminal` in the place of what slot `slot` has under `number`; None takes it out."""
        holder = self._by_number.get(number)
        if terminal is not None and (holder is None or (holder.slot == slot and number not in self._others)):
            self._by_number[number] = terminal
            return
        left = [one for one in (holder, *self._others.pop(number, ())) if one is not None and one.slot != slot]
        if terminal is not None:
            left.append(terminal)
        left.sort(key=lambda one: (not one.enabled, one.slot))
        if left:
            self._by_number[number] = left[0]
        else:
            self._by_number.pop(number, None)
        if len(left) > 1:
            self._others[number] = left[1:]

    # -- registering --------------------------------------------------------------------------

    def _bind(
        self, change: Change, terminal: Terminal, asked: Registering, made: dict[int, _Binding]
    ) -> RegisterAnswer:
        """Bind the terminal unless one is bound by now; what was bound goes into `made`."""
        connection = change.connection
        if not _still_there(connection, terminal.slot):
            return RegisterAnswer(Result.NO_TERMINAL, why="its device was disabled or deleted")
        plate = unique_key("plate", asked.plate)
        if plate and not terminal.plate:
            others = [one for one in holders(connection, "plate", [plate]).get(plate, ()) if one != terminal.device]
            if others:
                return RegisterAnswer(Result.VEHICLE_TAKEN, why=f"its plate is that of {others[0]}")
        found = _binding(connection, terminal.slot)
        terminal_id = self._tidy(asked.terminal_id)
        if found is None or not found.bound:
            found = _Binding(bound=True, terminal_id=terminal_id, generation=found.generation if found else 1)
            connection.execute(
                _BIND,
                (
                    terminal.slot,
                    terminal_id,
                    self._tidy(asked.maker),
                    self._tidy(asked.model),
                    found.generation,
                    asked.now_ms,
                    change.version,
                ),
            )
        made[terminal.slot] = found
        return self._answer(terminal, found, terminal_id)

    def _answer(self, terminal: Terminal, binding: _Binding, terminal_id: str) -> RegisterAnswer:
        if binding.terminal_id != terminal_id:
            why = f"terminal {binding.terminal_id or 'without an id'} is bound to {terminal.device}; release it first"
            return RegisterAnswer(Result.TERMINAL_TAKEN, why=why)
        return RegisterAnswer(Result.OK, self._tokens.of(terminal.slot, terminal.device, binding.generation))

    def _tidy(self, text: str) -> str:
        """What a terminal says of itself, cut, and without anything that does not print."""
        return "".join(c for c in text[: self._max_text_chars] if c.isprintable()).strip()


def _refused(terminal: Terminal | None, asked: Registering) -> RegisterAnswer | None:
    """Why the registration is refused whatever is bound; None when it is not."""
    if terminal is None:
        return RegisterAnswer(Result.NO_TERMINAL, why="no device has this number")
    if not terminal.enabled:
        return RegisterAnswer(Result.NO_TERMINAL, why=f"{terminal.device} is disabled")
    said, known = unique_key("plate", asked.plate), unique_key("plate", terminal.plate)
    if said and known and said != known:
        return RegisterAnswer(Result.NO_VEHICLE, why=f"it says another plate than that of {terminal.device}")
    return None


def _binding(connection: Connection, slot: int) -> _Binding | None:
    row: tuple[Any, ...] | None = connection.execute(
        "SELECT bound, terminal_id, generation FROM terminal WHERE slot = ?", (slot,)
    ).fetchone()
    return None if row is None else _Binding(bool(row[0]), row[1], row[2])


_BIND = (
    "INSERT INTO terminal (slot, bound, terminal_id, maker, model, generation, registered_ms, changed)"
    " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (slot) DO UPDATE SET bound = 1, terminal_id = excluded.terminal_id,"
    " maker = excluded.maker, model = excluded.model, generation = excluded.generation,"
    " registered_ms = excluded.registered_ms, changed = excluded.changed"
)


def _still_there(connection: Connection, slot: int) -> bool:
    row = connection.execute("SELECT enabled = 1 AND deleted = 0 FROM device WHERE slot = ?", (slot,)).fetchone()
    return row is not None and bool(row[0])


def number_digits(text: str) -> str:
    """The number of a terminal: digits without leading zeros; "" for anything else."""
    return text.lstrip("0") if text.isascii() and text.isdigit() else ""
