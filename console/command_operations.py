"""Operations on commands to devices: given, approved, stopped, looked at; and what the service asks before it sends.

Invariants: every attempt is audited under the caller's name and role before it is made, and every refusal is audited too;
what may be done is decided by `console.command_gate` alone, whoever asks, the desk itself included; reading commands, which
may hold what devices answered, is audited. Nothing is sent here: the service does, when `still_allowed` agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.alarm_operations import AlarmOperations
from console.command_gate import CommandGate
from console.command_rows import command_row
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.given_texts import check_id, one_of, short
from console.kept_rows import check_limit
from console.roles import role_of
from model.alarm import SYSTEM
from model.command import MAX_REASON_CHARS, Command, CommandState, approve, hang_up, reject
from model.command_table import MAX_EXPIRES_S, CommandKind, checked_args, kind_of, needs_approval
from model.device import check_device_id
from model.errors import Conflict, NotFound, Refused, UsageError
from model.role import Role

if TYPE_CHECKING:
    from store.commands.store import CommandStore

#: What is gated by an alarm or by another person waits no longer than this, seconds.
MAX_GATED_EXPIRES_S = 3_600
#: A list that does not ask for all has what came to its end within this time, ms.
RECENT_MS = 86_400_000
_WHY_CHARS = 200
#: The service, when the desk gives a command by itself.
SERVICE = Caller(SYSTEM, SYSTEM, "service")


class CommandOperations(AlarmOperations):
    """What can be asked of commands; see `console.operations.Operations` for the arguments."""

    _commands: CommandStore
    _gate: CommandGate

    # -- giving -------------------------------------------------------------------------------

    def command_send(
        self,
        caller: Caller,
        device: str,
        name: str,
        args: dict[str, Any] | None = None,
        reason: str = "",
        alarm: str = "",
        expires_s: int | None = None,
    ) -> dict[str, Any]:
        """Give a command to a device: it is queued, or waits for another person's approval.

        `args` as the table of commands has them; `alarm` is the alarm that it belongs to, or the unique beginning of its id;
        `expires_s` is how long it waits for a device that cannot be reached. Raises Refused where a rule forbids it.
        """
        check_device_id(device)
        kind = kind_of(name)
        checked = checked_args(kind, args or {})
        waits_s = _expiry(kind, expires_s)
        reason = short(reason, "reason", MAX_REASON_CHARS)
        who = self._as_role(caller)
        alarm_id = self._alarm_id(alarm) if alarm else ""
        self._note(who, "command.send", device, command=name, args=checked, reason=reason, alarm=alarm_id)
        with self._refusals(who, device, name):
            role = Role(who.role)
            bound = self._gate.admit(kind, device, checked, who=who.who, role=role, reason=reason, alarm=alarm_id)
            made = self._commands.create(
                name=name,
                device=device,
                args=checked,
                by=who.who,
                role=role.value,
                reason=reason,
                alarm=bound,
                expires_ms=self._clock.now_ms() + waits_s * 1_000,
                state=CommandState.ASKED if needs_approval(kind, checked) else CommandState.QUEUED,
            )
        return self._command_row(made)

    def system_command(
        self, device: str, name: str, args: dict[str, Any], alarm: str, expires_s: int | None = None, *, cause: str = ""
    ) -> Command:
        """A command that the desk gives by itself, by the same rules but for the role; `cause`: once for that cause alone.

        Raises as `command_send` does.
        """
        kind = kind_of(name)
        checked = checked_args(kind, args)
        known = self._commands.of_cause(cause) if cause else None
        if known is not None:
            return known
        self._note(SERVICE, "command.send", device, command=name, args=checked, alarm=alarm)
        with self._refusals(SERVICE, device, name):
            bound = self._gate.admit(kind, device, checked, who=SYSTEM, role=None, reason="", alarm=alarm)
            return self._commands.create(
                name=name,
                device=device,
                args=checked,
                by=SYSTEM,
                role=SYSTEM,
                alarm=bound,
                expires_ms=self._clock.now_ms() + _expiry(kind, expires_s) * 1_000,
                cause=cause,
            )

    # -- deciding -----------------------------------------------------------------------------

    def command_approve(self, caller: Caller, command: str) -> dict[str, Any]:
        """Another person lets it go: it is queued. The rules are asked again."""
        return self._decide(caller, command, "approve", {}, self._approved)

    def command_reject(self, caller: Caller, command: str, reason: str) -> dict[str, Any]:
        """Stop a command that was not sent yet; whoever gave it may take it back."""
        reason = short(reason, "reason", MAX_REASON_CHARS)
        if not reason.strip():
            raise UsageError("It is not said why.", mend="Say why: --reason.")

        def rejected(before: Command, who: str, role: Role) -> Command:
            self._gate.check_stopper(before, who, role)
            return reject(before, who, reason, self._clock.now_ms())

        return self._decide(caller, command, "reject", {"reason": reason}, rejected)

    def command_stop(self, caller: Caller, command: str) -> dict[str, Any]:
        """Hang up a listen-in that runs: whoever gave it, an approver or a supervisor. The service tells the terminal.

        Raises Refused where none runs.
        """

        def stopped(before: Command, who: str, role: Role) -> Command:
            self._gate.check_stopper(before, who, role)
            return hang_up(before, who)

        return self._decide(
            caller, command, "stop", {"alarm": self._commands.get(self._command_id(command)).alarm}, stopped
        )

    def _approved(self, before: Command, who: str, role: Role) -> Command:
        self._gate.check_approver(before, who, role)
        after = approve(before, who)
        if self._clock.now_ms() >= before.expires_ms:
            raise Refused(f"{before.id} has expired.", mend="Ask for it anew.")
        why = self._gate.still_allowed(before)
        if why:
            raise Refused(f"{before.id} may not go out: {why}", mend="Look at the device, then decide again.")
        return after

    def _decide(
        self,
        caller: Caller,
        command: str,
        action: str,
        detail: dict[str, Any],
        decide: Callable[[Command, str, Role], Command],
    ) -> dict[str, Any]:
        """Audit the decision, make it on the command as it stands, and audit when it did not go."""
        who = self._as_role(caller)
        before = self._commands.get(self._command_id(command))
        self._note(who, f"command.{action}", before.device, command=before.id, version=before.version, **detail)
        with self._refusals(who, before.device, before.name, command=before.id, tried=action):
            after = self._commands.step(before, decide(before, who.who, Role(who.role)))
        return self._command_row(after)

    # -- looking ------------------------------------------------------------------------------

    def command_list(
        self,
        caller: Caller,
        device: str = "",
        state: str = "",
        all: bool = False,  # noqa: A002, FBT001, FBT002 called by name alone, as the option is
        before: str = "",
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[dict[str, Any]]:
        """Commands, the newest first: what is under way or came to its end within a day; with `all`, or a state, every one.

        `before` goes on before that id.
        """
        check_limit(limit)
        if device:
            check_device_id(device)
        if state:
            one_of(state, "state of a command", [one.value for one in CommandState])
        if before:
            check_id(before, "a command")
        self._note(self._as_role(caller), "read.commands", device or "*")
        found = self._commands.list(
            device=device,
            state=state,
            open_only=not all and not state,
            done_since_ms=max(self._clock.now_ms() - RECENT_MS, 1),
            before=before,
            limit=limit,
        )
        return [self._command_row(one) for one in found]

    def command_show(self, caller: Caller, command: str) -> dict[str, Any]:
        """One command and its life; `command` may be the unique beginning of an id."""
        found = self._commands.get(self._command_id(command))
        self._note(self._as_role(caller), "read.commands", found.device, command=found.id)
        return self._command_row(found)

    # -- what the service asks before it sends ------------------------------------------------

    def still_allowed(self, command: Command) -> str:
        """Why it may not go out now, in words; "" when it may. See `console.command_gate`."""
        return self._gate.still_allowed(command)

    def listen_must_end(self, command: Command, now_ms: int) -> bool:
        """Whether a listen-in that runs is over."""
        return self._gate.listen_must_end(command, now_ms)

    def note_command(self, action: str, command: Command, **detail: Any) -> None:
        """Audit what the service does with a command, before it does it. Raises AuditUnwritable: it may not do it."""
        self._note(SERVICE, action, command.device, command=command.id, name=command.name, by=command.by, **detail)

    # -- what they share ----------------------------------------------------------------------

    def _as_role(self, caller: Caller) -> Caller:
        """The caller under the role that the settings give; nobody is the desk itself."""
        if caller.who == SYSTEM:
            raise Refused(f"{SYSTEM!r} is the desk itself.", mend="Work under a user name of your own.")
        return replace(caller, role=role_of(self._settings, caller).value)

    @contextmanager
    def _refusals(self, who: Caller, device: str, name: str, **detail: Any) -> Iterator[None]:
        """Audit what is refused inside, and let it go on."""
        try:
            yield
        except (Refused, NotFound, Conflict) as error:
            self._note(who, "command.refused", device, name=name, why=error.message[:_WHY_CHARS], **detail)
            raise

    def _command_row(self, command: Command) -> dict[str, Any]:
        return command_row(command, place=self._shows_place(command.device))

    def _command_id(self, given: str) -> str:
        """The command whose id is `given` or alone begins with it."""
        found = self._commands.ids_like(check_id(given, "a command"), limit=3)
        if given in found:
            return given
        if not found:
            raise NotFound(f"There is no command {given}.", mend="`lucheng command list --all` shows which there are.")
        if len(found) > 1:
            raise UsageError(
                f"More than one command begins with {given}: {', '.join(found)}.", mend="Write more of its id."
            )
        return found[0]


def _expiry(kind: CommandKind, given_s: int | None) -> int:
    """How long it waits, seconds; UsageError for none or too long."""
    most_s = MAX_GATED_EXPIRES_S if kind.alarm_kind or kind.needs_approval else MAX_EXPIRES_S
    if given_s is None:
        return kind.expires_s
    if not 1 <= given_s <= most_s:
        raise UsageError(f"{kind.name} cannot wait {given_s} s.", mend=f"Give 1 to {most_s} seconds.")
    return given_s
