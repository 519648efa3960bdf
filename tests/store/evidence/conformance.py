"""What every implementation of `model.evidence.EvidenceStore` must do. An implementation joins by one subclass in a test module."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace

import pytest

from model.errors import AuditUnwritable, Conflict, NotFound, Refused, UsageError
from model.evidence import EvidenceStore, NewEvidence
from model.grant import Grant, Purpose
from store.audit import AuditLog

T0 = 1_795_334_400_000  # 2026-11-22T08:00:00Z
GRANT = Grant("li", "cli", Purpose("alarm", "A-1"), None, 0, 10**15)
PHOTO = NewEvidence(
    device="taxi/1",
    kind="image",
    format="jpg",
    data=b"\xff\xd8 a photo \xff\xd9",
    time_ms=T0,
    received_ms=T0 + 900,
    lat=40.65,
    lon=109.84,
    channel=1,
    event="robbery",
    source="jt808:123",
)


def told(audit: AuditLog) -> list[tuple[str, str]]:
    """(action, target) of every audit row, oldest first."""
    return [(row.action, row.target) for row in audit.rows(limit=1_000)]


class EvidenceConformance:
    """The fixtures `store` (an empty one, pieces to 4 KiB, 16 KiB in all) and `audit` are the implementation's."""

    def test_what_is_put_is_there(self, store: EvidenceStore, audit: AuditLog) -> None:
        kept = store.put(PHOTO)
        assert kept.id == "E2026-000001"
        assert kept.sha256 == hashlib.sha256(PHOTO.data).hexdigest()
        assert kept.size_bytes == len(PHOTO.data)
        said = asdict(PHOTO)
        del said["data"]
        assert {key: getattr(kept, key) for key in said} == said
        assert list(store.list(GRANT)) == [kept]
        assert store.read(GRANT, kept.id) == (kept, PHOTO.data)
        assert told(audit) == [("read.evidence", "*"), ("read.evidence_bytes", kept.id)]

    def test_the_same_again_is_the_same(self, store: EvidenceStore) -> None:
        first = store.put(PHOTO)
        assert store.put(replace(PHOTO, received_ms=T0 + 5_000, event="again")) == first
        others = [
            store.put(replace(PHOTO, **change))
            for change in (
                {"device": "taxi/2"}, {"time_ms": T0 + 1}, {"source": "jt808:124"}, {"data": b"another"},
            )
        ]  # fmt: skip
        assert len({one.id for one in (first, *others)}) == 5
        assert [one.id for one in store.list(GRANT)] == [one.id for one in reversed((first, *others))]

    def test_what_came_without_an_alarm_is_attached_once(self, store: EvidenceStore) -> None:
        kept = store.put(PHOTO)
        assert not store.list(GRANT, alarm="A2026-000001")
        store.bind(kept.id, "A2026-000001")
        store.bind(kept.id, "A2026-000001")
        assert [one.id for one in store.list(GRANT, alarm="A2026-000001")] == [kept.id]
        with pytest.raises(Conflict, match="A2026-000001"):
            store.bind(kept.id, "A2026-000002")
        with pytest.raises(NotFound):
            store.bind("E2026-000099", "A2026-000001")
        with pytest.raises(UsageError):
            store.bind(kept.id, "")
        assert store.put(replace(PHOTO, alarm="A2026-000002")).alarm == "A2026-000001"
        later = store.put(replace(PHOTO, time_ms=T0 + 1))
        assert store.put(replace(PHOTO, time_ms=T0 + 1, alarm="A2026-000002")) == replace(later, alarm="A2026-000002")

    def test_a_list_has_filters_and_pages(self, store: EvidenceStore) -> None:
        made = [
            store.put(replace(PHOTO, device=f"taxi/{n % 2}", time_ms=T0 + n, alarm="A" * (n % 3 == 0)))
            for n in range(7)
        ]
        newest = [one.id for one in reversed(made)]
        assert [one.id for one in store.list(GRANT, limit=3)] == newest[:3]
        assert [one.id for one in store.list(GRANT, before=newest[2], limit=3)] == newest[3:6]
        assert [one.id for one in store.list(GRANT, device="taxi/1")] == [one.id for one in reversed(made[1::2])]
        assert [one.id for one in store.list(GRANT, alarm="A", device="taxi/0")] == [made[6].id, made[0].id]
        for limit in (0, 10_001):
            with pytest.raises(UsageError):
                store.list(GRANT, limit=limit)
        with pytest.raises(NotFound):
            store.list(GRANT, before="E2026-000099")
        for text in ("' OR 1=1 --", "taxi/1'; DROP TABLE evidence; --", "%", "taxi/_"):
            assert not store.list(GRANT, device=text)
            assert not store.list(GRANT, alarm=text)

    def test_a_grant_is_needed_and_its_window_holds(self, store: EvidenceStore, audit: AuditLog) -> None:
        kept = store.put(PHOTO)
        unknown_time = store.put(replace(PHOTO, time_ms=0))
        mine = replace(GRANT, devices=frozenset(["taxi/2"]))
        for call in (
            lambda: store.list(mine),
            lambda: store.list(mine, device="taxi/1"),
            lambda: store.read(mine, kept.id),
        ):
            with pytest.raises(Refused):
                call()
        earlier = replace(GRANT, to_ms=T0)
        assert not store.list(earlier)
        with pytest.raises(Refused):
            store.read(earlier, kept.id)
        only_first = replace(GRANT, to_ms=T0 + 1)
        assert [one.id for one in store.list(only_first)] == [kept.id]  # the other counts by when it came
        assert [one.id for one in store.list(replace(GRANT, from_ms=T0 + 900))] == [unknown_time.id]
        assert {action for action, _ in told(audit)} == {"read.evidence"}

    def test_no_audit_no_evidence(self, store: EvidenceStore, audit: AuditLog) -> None:
        kept = store.put(PHOTO)
        audit.close()
        for call in (lambda: store.list(GRANT), lambda: store.read(GRANT, kept.id)):
            with pytest.raises(AuditUnwritable):
                call()
        assert store.put(replace(PHOTO, time_ms=T0 + 1)).id == "E2026-000002"  # what comes is kept all the same

    @pytest.mark.parametrize(
        "name",
        ["", "../x", "jpg/../../x", "jpg\0", "JPG", "a" * 9, "..", "jpg\n", "ｊｐｇ", "."],
    )
    def test_no_name_from_outside_reaches_the_disk(self, store: EvidenceStore, name: str) -> None:
        with pytest.raises(UsageError, match="no format"):
            store.put(replace(PHOTO, format=name))
        for hostile in ("../../../etc/passwd", "..", "a/b", "\0", "%2e%2e/", "E2026-000001/../x"):
            kept = store.put(
                replace(
                    PHOTO,
                    device=f"taxi/{hostile}",
                    source=hostile,
                    event=hostile,
                    alarm=hostile,
                    kind="file",
                    format="bin",
                )
            )
            assert store.read(GRANT, kept.id)[1] == PHOTO.data
            with pytest.raises(NotFound):
                store.read(GRANT, hostile)

    def test_limits_are_refused_in_words(self, store: EvidenceStore) -> None:
        with pytest.raises(Refused, match="is empty"):
            store.put(replace(PHOTO, data=b""))
        with pytest.raises(Refused, match="4097 bytes, the limit is 4096") as caught:
            store.put(replace(PHOTO, data=bytes(4097)))
        assert "evidence.max_item_bytes" in caught.value.mend
        for n in range(4):
            store.put(replace(PHOTO, data=bytes([n]) * 4096))
        with pytest.raises(Refused, match="over the limit") as caught:
            store.put(replace(PHOTO, data=b"x"))
        assert "evidence.max_total_bytes" in caught.value.mend
        # bytes that are there already need no room
        assert store.put(replace(PHOTO, data=bytes(4096), device="taxi/2")).id == "E2026-000005"
        assert len(store.list(GRANT)) == 5

    def test_texts_are_cut_and_kinds_known(self, store: EvidenceStore) -> None:
        kept = store.put(replace(PHOTO, event="e" * 10_000, source="half \ud800 of a character"))
        assert (len(kept.event), kept.source) == (200, "half \\ud800 of a character")
        assert store.put(replace(PHOTO, event="e" * 10_000, source="half \ud800 of a character")) == kept
        with pytest.raises(UsageError, match="no kind"):
            store.put(replace(PHOTO, kind="html"))
