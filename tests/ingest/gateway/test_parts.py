"""Messages in parts, put together: any order, repeats, losses, restarts; limits."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ingest.gateway.parts import PART_OVERHEAD_BYTES, Ask, Lost, Open, Part, Parts, What

TIMEOUT_S, RETRIES = 5.0, 3


def make(**limits: Any) -> Parts:
    given_limits = {
        "message_bytes": 10_000,
        "total_bytes": 100_000,
        "timeout_s": TIMEOUT_S,
        "retries": RETRIES,
    } | limits
    return Parts(**given_limits)


def parts_of(bodies: list[bytes], base: int = 100, number: str = "1", message_id: int = 0x0801) -> list[Part]:
    return [
        Part(number, message_id, len(bodies), index, (base + index - 1) & 0xFFFF, body, 2013)
        for index, body in enumerate(bodies, 1)
    ]


@given(st.permutations(range(6)), st.integers(0, 0xFFFF))
def test_any_order_and_any_serial(order: list[int], base: int) -> None:
    bodies = [bytes([index]) * index for index in range(6)]
    given_parts = parts_of(bodies, base)
    parts = make()
    whats = []
    for place in order:
        added = parts.add(given_parts[place], 0.0)
        whats.append(added.what)
        whats.append(parts.add(given_parts[place], 0.0).what)
        if added.what is What.WHOLE:
            assert added.message is not None
            assert added.message.body == b"".join(bodies)
            assert added.finished is not None
            assert added.finished.serials == tuple((base + index) & 0xFFFF for index in range(6))
    assert whats == [What.KEPT, What.REPEATED] * 5 + [What.WHOLE, What.FINISHED]
    assert (len(parts), parts.open_bytes) == (0, 0)


def test_missing_parts_are_asked_for_then_given_up() -> None:
    parts = make()
    for part in parts_of([b"a", b"b", b"c", b"d"]):
        if part.index not in (2, 4):
            parts.add(part, 0.0)
    for asked in range(1, RETRIES + 1):
        at_s = asked * TIMEOUT_S
        assert parts.due(at_s - 0.1, lambda _number: True) == []
        (ask,) = parts.due(at_s, lambda _number: True)
        assert isinstance(ask, Ask)
        assert (ask.missing, ask.last, ask.message.base) == ([2, 4], asked == RETRIES, 100)
    (lost,) = parts.due((RETRIES + 1) * TIMEOUT_S, lambda _number: True)
    assert isinstance(lost, Lost)
    assert lost.message.missing == [2, 4]
    assert (len(parts), parts.open_bytes) == (0, 0)


def test_a_part_that_comes_starts_the_count_anew() -> None:
    parts = make()
    first, second, third = parts_of([b"a", b"b", b"c"])
    parts.add(first, 0.0)
    for at_s in (5.0, 10.0, 15.0):
        assert isinstance(parts.due(at_s, lambda _number: True)[0], Ask)
    parts.add(second, 16.0)
    assert parts.due(20.0, lambda _number: True) == []
    assert isinstance(parts.due(21.0, lambda _number: True)[0], Ask)
    assert parts.add(third, 22.0).what is What.WHOLE


def test_who_is_not_connected_is_not_asked_but_waited_for() -> None:
    parts = make(offline_s=60.0)
    first, second = parts_of([b"a", b"b"])
    parts.add(first, 0.0)
    for at_s in range(5, 60, 5):
        assert parts.due(float(at_s), lambda _number: False) == []
    assert isinstance(parts.due(60.0, lambda _number: True)[0], Ask)
    assert parts.add(second, 61.0).what is What.WHOLE
    parts.add(parts_of([b"x", b"y"], base=500)[0], 61.0)
    (lost,) = parts.due(200.0, lambda _number: False)
    assert isinstance(lost, Lost)


def test_another_message_may_take_a_serial_in_between() -> None:
    parts = make()
    made = parts_of([b"a", b"b", b"c"])
    moved = [made[0], *(Part(p.number, p.message_id, 3, p.index, p.serial + 2, p.body, 2013) for p in made[1:])]
    assert [parts.add(part, 0.0).what for part in moved] == [What.KEPT, What.KEPT, What.WHOLE]


def test_a_part_that_was_asked_for_may_have_a_fresh_serial() -> None:
    parts = make()
    first, _, third = parts_of([b"a", b"b", b"c"])
    parts.add(first, 0.0)
    parts.add(third, 0.0)
    fresh = Part("1", 0x0801, 3, 2, 9_000, b"b", 2013, ordered=True)
    assert parts.add(fresh, 1.0).what is What.KEPT  # nobody asked: it is of another message
    parts.due(1.0 + TIMEOUT_S, lambda _number: True)
    fresh = Part("1", 0x0801, 3, 2, 9_100, b"b", 2013, ordered=True)
    assert parts.add(fresh, 6.0).what is What.WHOLE
    assert len(parts) == 1


def test_two_photos_at_a_time_are_never_mixed() -> None:
    parts = make()
    one, other = parts_of([b"a"] * 4, base=100), parts_of([b"z"] * 4, base=104)
    whole = []
    for part in (one[0], other[2], one[1], other[0], one[3], other[3], one[2], other[1]):
        added = parts.add(part, 0.0)
        if added.what is What.WHOLE:
            assert added.message is not None
            whole.append(added.message.body)
    assert sorted(whole) == [b"aaaa", b"zzzz"]


def test_a_terminal_that_begins_anew_with_the_same_serials() -> None:
    parts = make()
    before, after = parts_of([b"old", b"old"]), parts_of([b"new", b"new"])
    parts.add(before[0], 0.0)
    added = parts.add(after[0], 1.0)
    assert added.what is What.KEPT
    assert [lost.message.body for lost in added.lost] == [b"old"]
    added = parts.add(after[1], 1.0)
    assert added.what is What.WHOLE
    assert added.message is not None
    assert added.message.body == b"newnew"
    # And again after it was whole: other bytes are another message, the same ones a repeat.
    assert parts.add(after[0], 2.0).what is What.FINISHED
    assert parts.add(before[0], 2.0).what is What.KEPT


def test_limits() -> None:
    parts = make(message_bytes=10, total_bytes=4 * PART_OVERHEAD_BYTES)
    big = parts_of([b"12345678", b"123", b"1"])
    parts.add(big[0], 0.0)
    assert parts.add(big[1], 0.0).what is What.TOO_LARGE
    assert parts.open_bytes == 0
    lost = [
        one.message.number
        for number in range(8)
        for one in parts.add(parts_of([b"x", b"y"], number=str(number))[0], 0.0).lost
    ]
    assert lost == ["0", "1", "2", "3", "4"]  # three fit
    assert len(parts) == 3
    assert parts.add(Part("1", 0x0801, 3, 4, 1, b""), 0.0).what is What.NONSENSE
    assert parts.add(Part("1", 0x0801, 3, 0, 1, b""), 0.0).what is What.NONSENSE
    assert len(parts.clear()) == 3
    assert parts.open_bytes == 0


def test_one_terminal_has_so_many_messages_open_and_no_more() -> None:
    parts = make(terminal_messages=3)
    begun = [parts_of([b"x", b"y"], base=100 * number)[0] for number in range(5)]
    other = parts_of([b"x", b"y"], number="2")
    assert parts.add(other[0], 0.0).lost == ()
    lost = [one for part in begun[:4] for one in parts.add(part, 0.0).lost]
    assert [(one.message.base, one.why) for one in lost] == [
        (0, "too many messages of this terminal wait for parts"),
    ]
    # What was fed last is the last to go.
    assert parts.add(parts_of([b"x", b"y"], base=100)[1], 1.0).what is What.WHOLE
    assert parts.add(begun[0], 1.0).lost == ()
    assert [one.message.base for one in parts.add(begun[4], 1.0).lost] == [200]
    assert parts.add(other[1], 2.0).what is What.WHOLE
    assert len(parts.clear()) == 3
    assert parts.open_bytes == 0


def test_a_total_that_was_made_up_names_what_one_request_can() -> None:
    parts = make()
    parts.add(Part("1", 0x0801, 65_535, 3, 102, b"x"), 0.0)
    parts.add(Part("1", 0x0801, 65_535, 65_535, 98, b"x"), 0.0)
    (ask,) = parts.due(TIMEOUT_S, lambda _number: True)
    assert isinstance(ask, Ask)
    assert ask.missing == [1, 2, *range(4, 257)]
    assert list(ask.message.gaps()) == [(1, 2), (4, 65_534)]
    assert list(parts_gaps(4, {1, 2, 4})) == [(3, 3)]
    assert list(parts_gaps(3, set())) == [(1, 3)]
    assert list(parts_gaps(2, {1, 2})) == []


def parts_gaps(total: int, held: set[int]) -> list[tuple[int, int]]:
    """The gaps of a message of which these parts have come."""
    message = Open("1", 0x0801, total, 1, 2013, 0.0, 0.0, held=dict.fromkeys(held, b""))
    return list(message.gaps())


class Terminals(RuleBasedStateMachine):
    """Two terminals send messages in parts; the network loses, repeats and shuffles; asked parts come again."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = make(total_bytes=10**9)
        self.now_s = 0.0
        self.serials = {"1": 65_530, "2": 7}
        self.in_the_air: list[Part] = []
        self.sent: dict[tuple[str, int], list[Part]] = {}
        self.whole: list[bytes] = []
        self.lost: list[bytes] = []

    @rule(number=st.sampled_from(["1", "2"]), total=st.integers(1, 5))
    def send(self, number: str, total: int) -> None:
        """A message whose bytes are its own."""
        base = self.serials[number]
        self.serials[number] = base + total
        made = parts_of([f"{number}:{base}:{index};".encode() for index in range(total)], base, number)
        self.sent[number, base & 0xFFFF] = made
        self.in_the_air += made

    @rule(data=st.data(), keep=st.booleans())
    def arrive(self, data: st.DataObject, keep: bool) -> None:
        """One of them arrives, and may come once more."""
        if not self.in_the_air:
            return
        place = data.draw(st.integers(0, len(self.in_the_air) - 1))
        part = self.in_the_air[place] if keep else self.in_the_air.pop(place)
        added = self.parts.add(part, self.now_s)
        if added.what is What.WHOLE:
            assert added.message is not None
            self.whole.append(added.message.body)
        assert not added.lost

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if self.in_the_air:
            self.in_the_air.pop(data.draw(st.integers(0, len(self.in_the_air) - 1)))

    @rule(online=st.booleans())
    def wait(self, online: bool) -> None:
        """Time passes; the terminal sends again what it is asked for, the very same frames."""
        self.now_s += TIMEOUT_S
        for due in self.parts.due(self.now_s, lambda _number: online):
            if isinstance(due, Ask):
                made = self.sent[due.message.number, due.message.base]
                self.in_the_air += [made[index - 1] for index in due.missing]
            else:
                self.lost.append(due.message.body)

    @invariant()
    def nothing_is_mixed_or_doubled(self) -> None:
        bodies = {b"".join(part.body for part in made) for made in self.sent.values()}
        assert set(self.whole) <= bodies
        # A message may be whole twice only after it was given up, never beyond its memory's time.
        assert len(self.whole) == len(set(self.whole)) or self.now_s > 300.0

    @invariant()
    def bytes_are_counted(self) -> None:
        if not len(self.parts):
            assert self.parts.open_bytes == 0

    def teardown(self) -> None:
        """In the end everything comes through: nothing is left that is not whole or was given up."""
        for part in [part for made in self.sent.values() for part in made]:
            added = self.parts.add(part, self.now_s)
            if added.what is What.WHOLE:
                assert added.message is not None
                self.whole.append(added.message.body)
        bodies = {b"".join(part.body for part in made) for made in self.sent.values()}
        assert set(self.whole) == bodies
        assert len(self.parts) == 0


def test_loss_order_and_repeats() -> None:
    run_state_machine_as_test(Terminals, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))
