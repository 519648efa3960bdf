"""A taxi's photo from its pieces, against a plain array of bytes: any order, repeats, overlaps, holes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.gateway.media import Photo, Photos, Piece

SIZE = 24
PICTURE = bytes(range(100, 100 + SIZE))


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 12)), max_size=24))
def test_it_is_whole_when_every_byte_has_come(cuts: list[tuple[int, int]]) -> None:
    photo, come = Photo("1", 1, 1, 2, SIZE, 0.0), bytearray(SIZE)
    for offset, length in cuts:
        data = PICTURE[offset : offset + length]
        if offset in photo.pieces:
            continue
        photo.add(offset, data)
        come[offset : offset + len(data)] = b"\1" * len(data)
        assert photo.whole() == (PICTURE if all(come) else None)
        runs = list(zip(photo.begins, photo.ends, strict=True))
        assert [at for begin, end in runs for at in range(begin, end)] == [at for at in range(SIZE) if come[at]]
        assert all(first[1] < second[0] for first, second in pairwise(runs))


@given(st.permutations(range(8)))
def test_pieces_in_any_order_make_the_photo_once(order: list[int]) -> None:
    photos = Photos(photo_bytes=1_000, total_bytes=10_000, wait_s=5.0)
    made = [
        photos.add("1", Piece(2, 7, 1, SIZE, 3 * place, PICTURE[3 * place : 3 * place + 3]), 0.0) for place in order
    ]
    assert [whole for whole, _ in made] == [None] * 7 + [PICTURE]
    assert not any(lost for _, lost in made)
    assert (len(photos), photos.open_bytes) == (0, 0)
