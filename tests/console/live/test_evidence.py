"""Evidence in the browser: ranges, kinds, purposes, copies, and that each read is audited first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.live.bytes_answer import range_of
from model.errors import AuditUnwritable
from tests.console.conftest import House
from tests.console.live.conftest import CAMERA, PATROL, MakeView, keep_evidence
from tests.console.live.film import Film
from tests.console.live.test_hub import Feeds


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=１-２", None),
        ("bytes=99999999999999999999-", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(header: str, found: tuple[int, int] | None) -> None:
    assert range_of(header, 100) == found


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        range_of(header, 100)


@given(header=st.text("bytes=0123456789-, ", max_size=24), size=st.integers(0, 200))
def test_whatever_is_asked_the_range_lies_within(header: str, size: int) -> None:
    try:
        found = range_of(header, size)
    except ValueError:
        return
    assert found is None or 0 <= found[0] < found[1] <= size


def test_a_clip_comes_whole_and_in_ranges_and_each_read_is_audited(
    make_view: MakeView, house: House, film: Film
) -> None:
    view = make_view(Feeds())
    alarm = house.alarm("button/1")
    clip = keep_evidence(house, alarm, film.whole)
    path = f"/evidence/{clip}?purpose=alarm:{alarm}"
    whole = view.ask(path)
    assert (whole.status, whole.data, whole.headers["content-type"]) == (200, film.whole, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(film.whole)
    part = view.ask(path, range="bytes=100-299")
    assert (part.status, part.data) == (206, film.whole[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{size}"
    assert view.ask(path, range=f"bytes=-{size}").data == film.whole
    beyond = view.ask(path, range=f"bytes={size}-")
    assert (beyond.status, beyond.data, beyond.headers["content-range"]) == (416, b"", f"bytes */{size}")
    reads = [
        purpose for action, target, purpose in house.actions() if (action, target) == ("read.evidence_bytes", clip)
    ]
    assert len(reads) == 4
    assert all(alarm in purpose for purpose in reads)


def test_what_a_browser_should_not_open_is_saved(make_view: MakeView, house: House) -> None:
    view = make_view(Feeds())
    for suffix, kind, shown in (
        ("jpg", "image", True),
        ("bin", "file", False),
        ("html", "file", False),
        ("wmv", "video", False),
    ):
        piece = keep_evidence(house, "", suffix.encode() * 9, kind, suffix)
        headers = view.ask(f"/evidence/{piece}?{PATROL}").headers
        assert headers["content-disposition"].startswith("inline" if shown else "attachment")
        assert headers["content-type"] in ("image/jpeg", "application/octet-stream", "video/x-ms-wmv")


def test_without_a_purpose_a_right_or_an_audit_there_are_no_bytes(
    make_view: MakeView, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view(Feeds(), view_copy=lambda data: data)
    piece = keep_evidence(house, "", b"secret bytes")
    assert view.ask(f"/evidence/{piece}").status == 422
    assert view.ask(f"/evidence/{piece}?purpose=curiosity").status == 422
    assert view.ask(f"/evidence/E2020-000009?{PATROL}").status == 404
    view.become("auditor")
    for path in (f"/evidence/{piece}?{PATROL}", f"/evidence/{piece}/view?{PATROL}"):
        answer = view.ask(path)
        assert answer.status == 403
        assert b"secret" not in answer.data
    assert "read.refused" in [action for action, *_ in house.actions()]
    view.become("operator")

    def unwritable(*_: object) -> None:
        raise AuditUnwritable("The audit cannot be written.", mend="Free the disk.")

    monkeypatch.setattr(house.rooms.audit, "append", unwritable)
    monkeypatch.setattr(house.rooms.evidence._audit, "append", unwritable)
    answer = view.ask(f"/evidence/{piece}?{PATROL}")
    assert answer.status == 500
    assert b"secret" not in answer.data


def test_a_viewing_copy_is_made_once_and_read_under_audit_each_time(make_view: MakeView, house: House) -> None:
    made: list[bytes] = []

    def copy(data: bytes) -> bytes:
        made.append(data)
        return b"copy of " + data

    view = make_view(Feeds(), view_copy=copy)
    clip = keep_evidence(house, "", b"original")
    for _ in range(3):
        answer = view.ask(f"/evidence/{clip}/view?{PATROL}", range="bytes=0-3")
        assert (answer.status, answer.data, answer.headers["content-type"]) == (206, b"copy", "video/mp4")
    assert made == [b"original"]
    assert [action for action, *_ in house.actions()].count("read.evidence_bytes") == 3
    picture = keep_evidence(house, "", b"jpeg", "image", "jpg")
    assert view.ask(f"/evidence/{picture}/view?{PATROL}").status == 422
    assert make_view(Feeds()).ask(f"/evidence/{clip}/view?{PATROL}").status == 404


def test_an_alarms_page_names_what_belongs_to_it(make_view: MakeView, house: House, film: Film) -> None:
    view = make_view(Feeds())
    alarm = house.alarm("button/1")
    clip = keep_evidence(house, alarm, film.whole)
    picture = keep_evidence(house, alarm, b"jpeg", "image", "jpg")
    page = view.ask(f"/alarm/{alarm}", accept="text/html", accept_language="zh-CN").text
    assert f'<video controls preload="metadata" src="/evidence/{clip}?purpose=alarm%3A{alarm}"' in page
    assert f'<img loading="lazy" src="/evidence/{picture}?purpose=alarm%3A{alarm}"' in page
    sha256 = house.rooms.evidence.get(view.house.operations._desk_grant(house.caller, None), clip).sha256
    assert sha256 in page
    assert CAMERA in page
    assert "starts 4.0 s late" in page
    assert "距警情 111 米" in page
    assert "2026-11-22 16:00:00" in page
    assert view.ask("/alarm/A2020-000001").status == 404
