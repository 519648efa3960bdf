"""`CommandStore`: every command that was ever given, and how far it is, in one database.

Invariants: a change is durable when a call returns; a command moves by the pure steps of `model.command` alone, and only
from the version that the step was decided on; only the device that was told may answer; what was given for one cause is
given once. It decides nothing about who may command, sends nothing and audits nothing: the console and the service do.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from model.alarm import SYSTEM
from model.clock import Clock
from model.command import Command, CommandState, Reply, answer
from model.errors import Conflict, NotFound, Refused, UsageError
from store.commands.file import CommandFile, count
from store.commands.rows import INSERT, OPEN, SELECT, UPDATE, command_of, row_of
from store.database import Connection, Where

DEFAULT_MAX_QUEUED_PER_DEVICE = 20
#: Rows that one call returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
#: Of an id that comes from outside.
MAX_ID_CHARS = 64
#: What is due is taken in such pieces, commands.
DEFAULT_DUE_ROWS = 500
_COUNTER = "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_NUMBER = "command"


class CommandStore(CommandFile):
    """The commands of one database. Any thread may call anything.

    Args:
        path: the file, e.g. `commands.db`, or the place on a server, where any process may write.
        clock: source of time.
        read_only: read beside a running writer; nothing changes. A file that is not there yet holds no command.
        max_queued_per_device: commands of people that wait for one device; those of the system are counted apart, so that
            neither keeps the other out.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        read_only: bool = False,
        max_queued_per_device: int = DEFAULT_MAX_QUEUED_PER_DEVICE,
    ) -> None:
        super().__init__(path, clock=clock, read_only=read_only)
        self._max_queued = max_queued_per_device

    # -- giving -------------------------------------------------------------------------------

    def create(
        self,
        *,
        name: str,
        device: str,
        args: dict[str, Any],
        by: str,
        role: str,
        expires_ms: int,
        state: CommandState = CommandState.QUEUED,
        reason: str = "",
        alarm: str = "",
        cause: str = "",
    ) -> Command:
        """Keep a new command, durably, and give it its id.

        What is given is as `model.command.Command` says, checked by the caller; `expires_ms` our clock, UTC ms; `state`
        `QUEUED`, or `ASKED` where another person has to approve it. `cause` is what it is given for, when that asks for it
        once alone: a second one is not made, the first is returned.

        Raises:
            Refused: as many as may wait for that device do already.
            UsageError: another state.
        """
        if state not in (CommandState.ASKED, CommandState.QUEUED):
            raise UsageError(f"No command begins {state}.", mend="Begin with asked or queued.")
        with self._transaction() as connection:
            if cause:
                known = connection.execute(f"{SELECT} WHERE cause = ?", (cause,)).fetchone()
                if known is not None:
                    return command_of(known)
            self._check_room(connection, device, by)
            number = count(connection, _NUMBER)
            now_ms = self._clock.now_ms()
            year = datetime.fromtimestamp(now_ms / 1000, UTC).year
            made = Command(
                id=f"K{year}-{number:06d}",
                device=device,
                name=name,
                args=args,
                by=by,
                role=role,
                reason=reason,
                alarm=alarm,
                state=state,
                version=1,
                asked_ms=now_ms,
                expires_ms=expires_ms,
            )
            connection.execute(INSERT, (number, cause, *row_of(made)))
        return made

    def _check_room(self, connection: Connection, device: str, by: str) -> None:
        whose = "who = ?" if by == SYSTEM else "who <> ?"
        sql = f"SELECT count(*) FROM commands WHERE device = ? AND state IN ('asked', 'queued') AND {whose}"  # noqa: S608 (constants)
        (waiting,) = connection.execute(sql, (device, SYSTEM)).fetchone()
        if waiting >= self._max_queued:
            raise Refused(
                f"{waiting} commands wait for {device} already.",
                mend="Take some back with `lucheng command reject`, or raise commands.max_queued_per_device.",
            )

    # -- moving -------------------------------------------------------------------------------

    def step(self, before: Command, after: Command) -> Command:
        """Write a step of `model.command`, durably: `after` in the place of `before`.

        Raises:
            Conflict: the stored command is not `before` any more; nothing was changed.
            UsageError: it is no step from `before`.
        """
        if after.id != before.id or after.version != before.version + 1:
            raise UsageError(f"That is no step of {before.id}.", mend="Step from the command as it was read.")
        with self._transaction() as connection:
            done = connection.execute(UPDATE, (*row_of(after), before.id, before.version))
            if done.rowcount != 1:
                stored = connection.execute(f"{SELECT} WHERE id = ?", (before.id,)).fetchone()
                if stored is None:
                    raise _no_such(before.id)
                raise Conflict(
                    f"{before.id} is {command_of(stored).state} by now: somebody was first.",
                    mend="Look at it as it stands and decide again.",
                )
        return after

    def reply(self, reply: Reply, now_ms: int) -> Command | None:
        """A device's answer; the command after it.

        None when that changes nothing: an unknown id, another device than the one that was told, a repeated or late answer,
        one to a command that was not sent.
        """
        if self._read(reply.command, reply.device) is None:
            return None  # without a write transaction, for anything may come from outside
        with self._transaction() as connection:
            before = command_of(connection.execute(f"{SELECT} WHERE id = ?", (reply.command,)).fetchone())
            after = answer(before, ok=reply.ok, detail=reply.detail, reply=reply.data, now_ms=now_ms)
            if after is not None:
                connection.execute(UPDATE, (*row_of(after), before.id, before.version))
        return after

    def _read(self, command_id: str, device: str) -> Command | None:
        if not device or len(command_id) > MAX_ID_CHARS or not command_id.isascii():
            return None
        found = self.rows(f"{SELECT} WHERE id = ? AND device = ?", (command_id, device))
        return command_of(found[0]) if found else None

    # -- looking ------------------------------------------------------------------------------

    def get(self, command_id: str) -> Command:
        """One command. Raises NotFound."""
        found = self.rows(f"{SELECT} WHERE id = ?", (command_id,))
        if not found:
            raise _no_such(command_id)
        return command_of(found[0])

    def of_cause(self, cause: str) -> Command | None:
        """The command that was given for `cause`."""
        found = self.rows(f"{SELECT} WHERE cause = ? AND cause <> ''", (cause,))
        return command_of(found[0]) if found else None

    def ids_like(self, prefix: str, *, limit: int = 3) -> builtins.list[str]:
        """Ids that begin with `prefix`, the newest first."""
        plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = "SELECT id FROM commands WHERE id LIKE ? ESCAPE '\\' ORDER BY number DESC LIMIT ?"
        return [row[0] for row in self.rows(sql, (plain + "%", limit))]

    def list(
        self,
        *,
        device: str = "",
        state: str = "",
        alarm: str = "",
        open_only: bool = False,
        done_since_ms: int = 0,
        before: str = "",
        limit: int = 100,
    ) -> builtins.list[Command]:
        """Commands, the newest first; of this device, in this state and of this alarm, "" all; `before` goes on before that id.

        `open_only`: those that are not over, a listen-in until it has ended, and where `done_since_ms` is given those
        that came to their end at or after it.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"The limit {limit} is out of range.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS} rows.")
        where, values = ["1 = 1"], builtins.list[object]()
        for name, value in (("device", device), ("state", state), ("alarm", alarm)):
            if value:
                where.append(f"{name} = ?")
                values.append(value)
        if open_only:
            recent = " OR done_ms >= ?" if done_since_ms else ""
            where.append(f"({OPEN} OR (ends_ms > 0 AND ended_ms = 0){recent})")
            values += [done_since_ms] if done_since_ms else []
        if before:
            where.append("number < (SELECT number FROM commands WHERE id = ?)")
            values.append(self.get(before).id)
        sql = f"{SELECT} WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?"
        return self._commands(sql, (*values, limit))

    def waiting_devices(self) -> builtins.list[str]:
        """Devices for which something is queued; what an offline one waits for must not stand before the others'."""
        return [row[0] for row in self.rows("SELECT DISTINCT device FROM commands WHERE state = 'queued'")]

    def queued(self, limit: int, *, device: str = "") -> builtins.list[Command]:
        """What is to be sent, oldest first; of one device, or of all."""
        where, values = ("AND device = ? ", (device, limit)) if device else ("", (limit,))
        return self._commands(f"{SELECT} WHERE state = 'queued' {where}ORDER BY number LIMIT ?", values)

    def sent(self, limit: int) -> builtins.list[Command]:
        """What was sent and is not answered, oldest first. Nothing of it is ever sent again."""
        return self._commands(f"{SELECT} WHERE state = 'sent' ORDER BY number LIMIT ?", (limit,))

    def due(self, now_ms: int, reply_timeout_ms: int, *, limit: int = DEFAULT_DUE_ROWS) -> builtins.list[Command]:
        """What is to be expired: not sent in time, or sent so long ago and not answered; oldest first."""
        sql = (
            f"{SELECT} WHERE {OPEN} AND ((state <> 'sent' AND expires_ms <= ?) OR (state = 'sent' AND sent_ms <= ?))"
            " ORDER BY number LIMIT ?"
        )
        return self._commands(sql, (now_ms, now_ms - reply_timeout_ms, limit))

    def listening(self) -> builtins.list[Command]:
        """Listen-ins that went out and have not been ended, answered or not."""
        return self._commands(f"{SELECT} WHERE ends_ms > 0 AND ended_ms = 0 ORDER BY number")

    # -- those who read on ----------------------------------------------------------------------

    def position(self, consumer: str) -> int | None:
        """How far a reader of something else has come, that gives commands for it; None before the first time."""
        found = self.rows("SELECT value FROM counters WHERE name = ?", (f"position.{consumer}",))
        return int(found[0][0]) if found else None

    def save_position(self, consumer: str, position: int) -> None:
        """Note it, durably; no change that wakes anybody."""
        with self._transaction(kept=False) as connection:
            connection.execute(_COUNTER, (f"position.{consumer}", position))

    def _commands(self, sql: str, values: Sequence[object] = ()) -> builtins.list[Command]:
        return [command_of(row) for row in self.rows(sql, values)]


def _no_such(command_id: str) -> NotFound:
    return NotFound(
        f"There is no command {command_id[:64]!r}.", mend="`lucheng command list --all` shows what there is."
    )
