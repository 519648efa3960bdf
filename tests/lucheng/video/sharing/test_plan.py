"""Who takes and gives which shares of cameras: whatever happens, all end up with their part and stay there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lucheng.video.sharing.plan import Picture, Seat, free_shares, loads, to_give, to_take

WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=40)
CAPACITIES = st.lists(st.integers(1, 200), min_size=1, max_size=5)


def seats_of(capacities: list[int], *, settled: bool = True) -> dict[str, Seat]:
    return {f"m{number}": Seat(capacity, settled) for number, capacity in enumerate(capacities)}


def look(holders: list[str], weights: list[int], seats: dict[str, Seat], me: str, *, patient: bool = False) -> Picture:
    picture = Picture(holders, weights, seats, me)
    return Picture(holders, weights, seats, me, free_shares(picture) if patient else ())


def settle(holders: list[str], weights: list[int], seats: dict[str, Seat]) -> int:
    """Let everybody decide in turn until nobody does anything; how many shares were given away."""
    given_away, patient = 0, False
    for _ in range(20 * len(weights) + 20):
        moved = False
        for me in seats:
            picture = look(holders, weights, seats, me, patient=patient)
            for share in to_take(picture):
                holders[share] = me
                moved = True
            gift = to_give(look(holders, weights, seats, me))
            if gift is not None:
                share, other = gift
                assert holders[share] == me
                holders[share] = other
                moved, given_away = True, given_away + 1
        if not moved and patient:
            return given_away
        patient = not moved
    raise AssertionError(f"it never ends: {holders} {weights} {seats}")


@given(WEIGHTS, CAPACITIES)
def test_all_is_taken_where_there_is_room_and_nobody_has_too_much(weights: list[int], capacities: list[int]) -> None:
    seats = seats_of(capacities)
    holders = [""] * len(weights)
    settle(holders, weights, seats)
    picture = look(holders, weights, seats, "m0")
    for run, load in loads(picture).items():
        assert load <= seats[run].capacity
    left = free_shares(picture)
    room = {run: seat.capacity - loads(picture)[run] for run, seat in seats.items()}
    assert all(weights[share] > max(room.values()) for share in left)


@given(st.integers(1, 60), st.integers(1, 6), st.data())
def test_equal_machines_have_equal_parts_after_one_died_and_after_it_is_back(
    shares: int, machines: int, data: st.DataObject
) -> None:
    seats = seats_of([1_000] * machines)
    weights = [1] * shares
    holders = [""] * shares
    settle(holders, weights, seats)
    assert spread(holders, weights, seats) <= 1
    dead = data.draw(st.sampled_from(sorted(seats)))
    if machines > 1:
        left = {run: seat for run, seat in seats.items() if run != dead}
        kept = {share for share, holder in enumerate(holders) if holder != dead}
        before = list(holders)
        settle(holders, weights, left)
        assert spread(holders, weights, left) <= 1
        assert (
            sum(holders[share] != before[share] for share in kept) < machines
        )  # what lived stayed where it was, but for one each
    moved = settle(holders, weights, seats)
    assert spread(holders, weights, seats) <= 1
    assert (
        moved < -(-shares // machines) + machines
    )  # the one that is back was given its part, and hardly anything else moved


def spread(holders: list[str], weights: list[int], seats: dict[str, Seat]) -> int:
    found = loads(look(holders, weights, seats, next(iter(seats)))).values()
    return max(found) - min(found)


def test_a_newcomer_takes_what_is_free_and_is_given_nothing_yet() -> None:
    seats = {"old": Seat(100, settled=True), "new": Seat(100, settled=False)}
    assert to_give(Picture(["old"] * 10, [1] * 10, seats, "old")) is None
    picture = Picture(["old"] * 6 + [""] * 4, [1] * 10, seats, "new")
    assert sorted(to_take(picture)) == [6, 7, 8, 9]


def test_no_more_is_taken_than_can_be_opened_now() -> None:
    seats = seats_of([1_000])
    assert len(to_take(Picture([""] * 50, [2] * 50, seats, "m0", may_open=7))) == 4
    assert to_take(Picture([""] * 50, [2] * 50, seats, "m0", may_open=0)) == []


def test_what_somebody_leaves_lying_is_taken_by_who_has_room() -> None:
    seats = seats_of([100, 100])
    picture = Picture(["m0"] * 5 + [""] * 5, [1] * 10, seats, "m0")
    assert to_take(picture) == []
    assert to_take(Picture(picture.holders, picture.weights, seats, "m0", waiting=[7])) == [7]


def test_a_machine_whose_cameras_grew_beyond_its_capacity_gives_some_away() -> None:
    seats = {"m0": Seat(4, settled=True), "m1": Seat(100, settled=True)}
    assert to_give(Picture(["m0", "m0", "m1"], [3, 3, 90], seats, "m0")) == (0, "m1")
