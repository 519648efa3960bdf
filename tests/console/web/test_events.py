"""The stream of events over a real socket: no alarm missing, none twice; positions of the viewport; slow readers; who may."""

import asyncio
import contextlib
import itertools
import json
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from console.device_operations import Caller
from console.web.events import EventLimits
from model.alarm import Outcome
from model.desk import CaseState
from tests.console.conftest import House
from tests.console.test_operations import damage_audit
from tests.console.web.live_house import HANG_S, START_MS, WINDOW_S, Guest, Live, until

LIMITS = EventLimits(
    max_streams=6, max_streams_per_user=4, refresh_s=0.1, beat_s=0.2, stall_s=1.0, recheck_s=0.1, gather_s=0.01
)
BAOTOU = [109.80, 40.60, 109.90, 40.70]


def look(bbox: list[float] | None = None, **more: Any) -> dict[str, Any]:
    return {"bbox": bbox or BAOTOU, "zoom": 13, **more}


@pytest.fixture
def live(house: House) -> Iterator[Live]:
    with Live(house, limits=LIMITS) as running:
        yield running


def devices(frame: dict[str, Any]) -> list[str]:
    return [row[0] for row in frame["devices"]]


# -- alarms -----------------------------------------------------------------------------------


def test_hello_says_where_the_stream_begins_and_beats_how_old_the_newest_event_is(house: House, live: Live) -> None:
    house.alarm("button/1")
    with live.events() as events:
        assert events.hello["number"] == house.rooms.desk.last_event() == 1
        assert events.hello["server_ms"] == START_MS
        beat = events.until("beat")
        assert beat == {"server_ms": START_MS, "number": 1, "last_alarm_ms": START_MS, "last_point_ms": None}
        live.place("taxi/1", 40.65, 109.85)
        until(lambda: events.until("beat")["last_point_ms"] == START_MS)


def test_alarms_come_in_order_with_their_number_as_id_and_what_the_alarm_is_now(house: House, live: Live) -> None:
    with live.events() as events:
        alarm = house.alarm("button/1")
        house.ask("alarm_ack", alarm=alarm)
        first, second = events.next("alarm"), events.next("alarm")
    assert (first[1], first[2]["number"], first[2]["action"], first[2]["alarm"]["work"]) == (1, 1, "raise", "new")
    assert (second[1], second[2]["action"], second[2]["alarm"]["owner"]) == (2, "acknowledge", "tester")
    assert "read.alarm_feed" in [action for action, _, _ in house.actions()]


def test_a_stream_that_is_cut_again_and_again_misses_no_alarm_and_sees_none_twice(house: House, live: Live) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    live.fleet(50)
    house.rooms.desk.take([house.made(f"taxi/f{number}", "overspeed", number) for number in range(300)])
    writer = threading.Thread(target=lambda: [house.alarm("button/1", number=number) for number in range(60)])
    writer.start()
    seen: list[int] = []
    while len(seen) < 360:
        asked: dict[str, Any] = {"last_event_id": seen[-1], "after": 0} if seen else {"after": 0}
        with live.events(**asked) as events:
            live.put(events.stream, look())
            seen += events.alarms(min(chance.randrange(1, 90), 360 - len(seen)))
        until(lambda: live.hub.streams == 0)
    writer.join()
    assert seen == list(range(1, 361))
    until(lambda: len(live.board) == 0)


def test_a_number_of_another_desk_begins_anew_and_says_so(house: House, live: Live) -> None:
    house.alarm("button/1")
    with live.events(after=500) as events:
        assert (events.hello["number"], events.hello["reset"]) == (1, True)
        house.alarm("button/2")
        assert events.alarms(1) == [2]


@pytest.mark.parametrize("asked", [{"after": "x"}, {"after": -1}, {"last_event_id": "1;2"}, {"purpose": "curiosity"}])
def test_what_is_no_number_or_no_purpose_is_refused(live: Live, asked: dict[str, Any]) -> None:
    with live.events(**asked) as events:
        assert events.status == 422
    assert live.hub.streams == 0


def test_only_so_many_streams_for_one_and_for_all(live: Live) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.max_streams_per_user):
            stack.enter_context(live.events())
        assert stack.enter_context(live.events()).status == 503
        for _ in range(LIMITS.max_streams - LIMITS.max_streams_per_user):
            assert stack.enter_context(live.events(user="li")).status == 200
        assert stack.enter_context(live.events(user="li")).status == 503
    until(lambda: live.hub.streams == 0)


def test_a_stream_whose_answer_never_begins_gives_its_place_back(live: Live) -> None:
    async def open_and_forget() -> None:
        guest = Guest(live.people, "wang")
        for _ in range(LIMITS.max_streams_per_user):
            await live.hub.open(guest, None, None)
        assert live.hub.streams == LIMITS.max_streams_per_user
        while live.hub.streams:  # noqa: ASYNC110 nothing tells of it
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(open_and_forget(), HANG_S))


def test_the_service_ends_every_stream_with_its_number(house: House, live: Live) -> None:
    with live.events(after=0) as events:
        house.alarm("button/1")
        assert events.alarms(1) == [1]
        live.hub.close()
        assert events.until("close") == {"resume": 1, "why": "ending"}
        with live.events() as other:
            assert other.status == 503


def test_s20_what_cannot_be_audited_is_not_given(house: House, live: Live) -> None:
    house.ask("audit_list")
    damage_audit(house)
    for _ in range(LIMITS.max_streams + 1):
        with live.events() as events:
            assert (events.status, events.problem["code"]) == (500, "audit_unwritable")


# -- slow readers -----------------------------------------------------------------------------


def test_a_reader_that_takes_nothing_is_closed_with_its_number_and_goes_on_from_there(house: House) -> None:
    with Live(house, limits=LIMITS, send_buffer_bytes=4096) as live:
        live.fleet(200)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(HANG_S)
        slow.connect(("127.0.0.1", live.port))
        slow.sendall(b"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        with live.events(after=0) as quick:
            live.put(quick.stream, look())
            house.rooms.desk.take([house.made(f"taxi/f{number}", "overspeed", number) for number in range(1_500)])
            assert quick.alarms(1_500) == list(range(1, 1_501))
            until(lambda: live.hub.streams == 1)  # the slow one was given up
        raw = b""
        with contextlib.suppress(OSError):
            while piece := slow.recv(1 << 20):
                raw += piece
        slow.close()
        seen = [int(line[4:]) for line in raw.split(b"\n") if line.startswith(b"id: ")]
        assert seen == list(range(1, len(seen) + 1))
        assert 0 < len(seen) < 1_500
        last = raw.rsplit(b"event: close\ndata: ", 1)[1].split(b"\n", 1)[0]
        assert json.loads(last) == {"resume": seen[-1], "why": "slow"}
        with live.events(last_event_id=seen[-1]) as again:
            assert again.alarms(1_500 - len(seen)) == list(range(len(seen) + 1, 1_501))


def test_who_reads_slowly_gets_the_newest_places_and_not_the_old_ones(house: House, live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85)
    with live.events() as events:
        live.put(events.stream, look())
        assert devices(events.until("positions")) == ["taxi/1"]
        view = next(iter(live.hub._streams.values())).watched.view
        assert view is not None
        assert view.frame is not None
        number = view.frame.number
        # frames pass without anybody taking them
        for lat in (40.651, 40.652, 40.653):
            live.place("taxi/1", lat, 109.85, ago_s=0)
            live.board.tick()
        frame = json.loads(view.frame.event(number).split(b"data: ")[1])
        assert (frame["all"], [row[1] for row in frame["devices"]]) == (True, [40.653])


# -- positions --------------------------------------------------------------------------------


def test_places_of_the_viewport_come_whole_first_and_then_what_changed(live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85, speed_kmh=36.04, heading_deg=90.0, flags=0b1011, acc_m=4.0)
    live.place("taxi/2", 40.66, 109.86, ago_s=8)
    live.place("taxi/far", 39.9, 116.4)
    with live.events() as events:
        assert live.put(events.stream, look()) == (200, {"follow": []})
        first = events.until("positions")
        assert first["all"] is True
        assert first["at_ms"] == START_MS
        assert first["devices"] == [
            ["taxi/1", 40.65, 109.85, 90, 36, 1, 11, 4],
            ["taxi/2", 40.66, 109.86, None, None, 8, 0, None],
        ]
        live.place("taxi/2", 40.67, 109.86, ago_s=0)
        second = events.until("positions")
        assert (devices(second), second["gone"], "all" in second) == (["taxi/2"], [], False)
        live.place("taxi/2", 40.9, 109.86, ago_s=0)
        third = events.until("positions")
        assert (third["devices"], third["gone"]) == ([], ["taxi/2"])
        live.put(events.stream, look([116.0, 39.0, 117.0, 40.0]))
        fourth = events.until("positions")
        assert (devices(fourth), fourth["all"]) == (["taxi/far"], True)


def test_where_nothing_changes_nothing_is_sent(live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85)
    with live.events() as events:
        live.put(events.stream, look())
        names = [name for name, _, _ in itertools.islice(iter(events.next, None), 6)]
        assert names.count("positions") == 1
        assert set(names) == {"positions", "beat"}


def test_kinds_and_what_is_followed(live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85)
    live.place("unit/1", 40.65, 109.86)
    live.place("taxi/far", 39.9, 116.4)
    live.place("taxi/old", 40.65, 109.85, ago_s=WINDOW_S + 5)
    with live.events() as events:
        live.put(events.stream, look(kinds=["unit"]))
        assert devices(events.until("positions")) == ["unit/1"]
        assert live.put(events.stream, look(kinds=["unit"], follow=["taxi/far", "taxi/old"]))[0] == 200
        assert devices(events.until("positions")) == ["unit/1", "taxi/far"]
    with live.events(purpose="alarm:A-1") as events:
        live.put(events.stream, look(follow=["taxi/old"]))
        assert devices(events.until("positions")) == ["taxi/1", "unit/1", "taxi/old"]


def test_more_than_the_limit_come_as_clusters_that_lose_nobody(house: House) -> None:
    with Live(house, limits=LIMITS, max_vehicles=50) as live:
        live.fleet(80)
        live.place("unit/9", 40.65, 109.95)
        with live.events() as events:
            live.put(events.stream, look(follow=["unit/9"]))
            frame = events.until("clusters")
            assert sum(cell[3] for cell in frame["cells"]) == 80
            assert devices(frame) == ["unit/9"]
            live.put(events.stream, look([109.84, 40.645, 109.85, 40.655]))
            assert events.until("positions")["all"] is True


def test_a_disabled_device_goes_from_the_map(house: House, live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85)
    with live.events() as events:
        live.put(events.stream, look())
        assert devices(events.until("positions")) == ["taxi/1"]
        house.ask("device_disable", device="taxi/1")
        house.rooms.registry.refresh(live.directory)
        assert events.until("positions")["gone"] == ["taxi/1"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (look([0, 0, 1]), 422),
        (look([0, 10, 1, 5]), 422),
        (look([0, 0, 1, 95]), 422),
        (look([10, 0, 5, 1]), 422),
        ({"bbox": BAOTOU, "zoom": 99}, 422),
        (look(kinds=["ebike"]), 422),
        (look(kinds=["'; DROP TABLE device; --"]), 422),
        (look(follow=["taxi/none"]), 404),
        (look(follow=["../../etc"]), 422),
        (look(follow=[f"taxi/{number}" for number in range(40)]), 422),
        (look(more=1), 422),
    ],
)
def test_a_viewport_that_is_none_is_refused(live: Live, body: dict[str, Any], status: int) -> None:
    with live.events() as events:
        assert live.put(events.stream, body)[0] == status
        assert len(live.board) == 0


def test_alarms_come_where_positions_fail(house: House, live: Live) -> None:
    with live.events() as events:
        live.put(events.stream, look())

        def broken() -> None:
            raise RuntimeError("the places are gone")

        live.board.tick = broken  # type: ignore[method-assign]
        house.alarm("button/1")
        assert events.alarms(1) == [1]
        house.alarm("button/2")
        assert events.alarms(1) == [2]


# -- who may ----------------------------------------------------------------------------------


def test_s6_nobody_sets_or_finds_anothers_stream(live: Live) -> None:
    with live.events() as events:
        for user, stream in (("li", events.stream), ("wang", "x" * 24), ("wang", "../../etc/passwd")):
            assert live.put(stream, look(), user=user)[0] == 404
        assert live.put(events.stream, look(), user="zhao")[0] == 403
        assert len(live.board) == 0
    with live.events(user="zhao") as events:
        assert events.status == 403


def test_s19_a_stream_ends_when_the_role_is_lowered(live: Live) -> None:
    with live.events() as events, live.events(user="li") as other:
        live.people.roles["wang"] = "auditor"
        assert events.until("close")["why"] == "forbidden"
        other.until("beat")
        live.people.routes["operator"] = ("events",)
        other.until("beat")
        assert live.put(other.stream, look(), user="li")[0] == 403


def test_an_ebike_is_on_no_map_and_is_followed_while_its_case_is_open(house: House, live: Live) -> None:
    live.place("ebike/1", 40.65, 109.85)
    live.place("taxi/1", 40.65, 109.85)
    with live.events() as events:
        live.put(events.stream, look())
        assert devices(events.until("positions")) == ["taxi/1"]
        assert live.put(events.stream, look(follow=["ebike/1"]))[0] == 403
    case = house.rooms.desk.report_stolen("ebike/1", "R-1", "wang").id
    with live.events(purpose="case:C-other") as events:
        assert live.put(events.stream, look(follow=["ebike/1"]))[0] == 403
    with live.events(purpose=f"case:{case}") as events:
        assert live.put(events.stream, look(follow=["ebike/1"]))[0] == 200
        assert set(devices(events.until("positions"))) == {"ebike/1", "taxi/1"}
        house.rooms.desk.move_case(case, CaseState.CLOSED, "wang")
        frame = events.until("positions")
        assert (devices(frame), frame["all"]) == (["taxi/1"], True)
    refused = [row for row in house.actions() if row[0] == "read.refused"]
    assert [target for _, target, _ in refused] == ["ebike/1", "ebike/1"]


def test_what_is_shown_was_noted_and_a_map_that_moves_a_little_is_no_new_row(house: House, live: Live) -> None:
    live.place("taxi/1", 40.65, 109.85)

    def noted() -> list[tuple[str, str, str]]:
        return [row for row in house.actions() if row[0] == "read.live_map"]

    with live.events(purpose="alarm:A-7") as events:
        live.put(events.stream, look())
        assert noted() == [("read.live_map", "*", "alarm:A-7")]
        live.put(events.stream, look([109.82, 40.61, 109.92, 40.71]))
        assert len(noted()) == 1
        live.put(events.stream, look([109.99, 40.61, 110.09, 40.71]))
        assert len(noted()) == 2
        live.put(events.stream, look([109.99, 40.61, 110.09, 40.71], follow=["taxi/1"]))
        assert noted()[-1] == ("read.live_map", "taxi/1", "alarm:A-7")


def test_s7_a_script_and_a_forged_event_in_a_note_stay_data(house: House, live: Live) -> None:
    note = "</script><img src=x onerror=alert(1)>\n\nevent: alarm\nid: 999\ndata: {}\n\n"
    with live.events() as events:
        alarm = house.alarm("button/1")
        house.ask("alarm_ack", alarm=alarm)
        version = house.ask("alarm_show", alarm=alarm)["version"]
        house.rooms.desk.resolve(alarm, version, "tester", Outcome.FALSE, reason=note)
        found = [events.next("alarm") for _ in range(3)]
        house.alarm("button/2")
        assert events.alarms(1) == [4]
    assert [number for _, number, _ in found] == [1, 2, 3]
    assert "onerror" in json.dumps(found[2][2])


# -- approvals --------------------------------------------------------------------------------


def test_a_break_glass_is_told_at_once_to_who_reviews_it_and_to_nobody_else(house: House) -> None:
    patient = EventLimits(refresh_s=0.1, beat_s=3_600.0, recheck_s=0.1)
    with Live(house, limits=patient) as live:
        live.people.roles["chen"] = "supervisor"
        live.people.routes["supervisor"] = live.people.routes["operator"]
        with live.events(user="chen") as chen, live.events(user="wang") as wang:
            assert chen.until("beat")["approvals"] == {"waiting": 0, "unreviewed": 0, "overdue": 0}
            assert "approvals" not in wang.until("beat")
            house.operations.export_tracks(
                Caller("sun", "officer", "web"),
                from_ms=START_MS - 50 * 86_400_000,
                to_ms=START_MS - 49 * 86_400_000,
                devices=[house.ask("device_add", device="taxi/B0001")["device"]],
                purpose="case:K-7",
                approval="break-glass:a hostage",
            ).close()
            told = chen.until("beat")  # long before the next one is due
            assert told["approvals"] == {"waiting": 0, "unreviewed": 1, "overdue": 0}
            assert "approvals" not in wang.until("beat")
    assert [(row["user"], row["role"]) for row in live.hub.sitters()] == []
