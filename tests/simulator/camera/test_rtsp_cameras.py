"""Simulated cameras, read by FFmpeg's own RTSP client: what is sent is what was filmed, and time goes on for ever."""

from __future__ import annotations

import socket

import av
import numpy as np
import pytest

from simulator.camera.film import Film, film, nal_units
from simulator.camera.rtsp import MAX_REQUEST_BYTES, Channel, RtspCameras
from simulator.camera.scene import Street, passers


@pytest.fixture(scope="module")
def second() -> Film:
    """A film of one second: small pictures, a keyframe every half second."""
    street = Street(1, width_px=320, height_px=180, title="1 Test Street")
    return film(street.frames(passers(1, 30, busy=1), fps=20, length_s=1), fps=20, gop_s=0.5)


def opened(url: str) -> av.container.InputContainer:
    container = av.open(url, options={"rtsp_transport": "tcp"}, timeout=10)
    assert isinstance(container, av.container.InputContainer)
    return container


def test_a_film_begins_with_a_keyframe_and_has_one_in_every_group(second: Film) -> None:
    assert [at for at, key in enumerate(second.keyframe) if key] == [0, 10]
    assert second.length_s == 1.0
    assert (second.width_px, second.height_px) == (320, 180)


def test_the_same_seed_draws_the_same_street() -> None:
    one, other = (Street(5, width_px=160, height_px=90).frame(passers(5, 20), 3.0) for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, Street(6, width_px=160, height_px=90).frame(passers(6, 20), 3.0))
    assert passers(5, 60) == passers(5, 60) != passers(6, 60)


def test_every_picture_arrives_as_it_was_filmed_and_time_goes_on_when_the_film_begins_again(second: Film) -> None:
    with RtspCameras({"/camera/1": Channel(second)}) as cameras, opened(cameras.url("/camera/1")) as source:
        sent = [list(nal_units(unit)) for unit in second.units]
        times, found = [], []
        for packet in source.demux(video=0):
            times.append(packet.pts)
            found.append(list(nal_units(bytes(packet))))
            if len(found) == 45:  # more than two films
                break
    first = next(at for at, units in enumerate(sent) if units == found[0])
    assert second.keyframe[first]
    # the client may put parameter sets of the description before a keyframe: the pictures themselves are the same
    assert [one[-1] for one in found] == [sent[(first + at) % 20][-1] for at in range(45)]
    known = [time for time in times if time is not None]
    assert len(known) > 40  # the client knows no time before it has heard what its clock means
    steps = np.diff(known)
    assert (steps == 4500).all()


def test_who_has_no_password_is_turned_away_and_a_camera_that_is_not_there_is_not_found(second: Film) -> None:
    with RtspCameras(
        {"/a": Channel(second), "/gone": Channel(second, refused=True)}, user="u", password="p"
    ) as cameras:
        with pytest.raises(av.error.HTTPUnauthorizedError):
            opened(cameras.url("/a"))
        known = cameras.url("/a").replace("//", "//u:p@")
        with pytest.raises(av.error.HTTPNotFoundError):
            opened(known.replace("/a", "/gone"))
        with opened(known) as source:
            assert next(source.decode(video=0)).width == 320


def test_a_muted_camera_stays_connected_and_sends_nothing(second: Film) -> None:
    channel = Channel(second)
    with RtspCameras({"/a": channel}) as cameras, av.open(cameras.url("/a"), timeout=(10, 0.5)) as source:
        packets = source.demux(video=0)
        assert next(packets).size
        channel.muted = True
        with pytest.raises(av.error.ExitError):
            for _ in packets:  # what was on its way, then nothing
                pass
        assert cameras.playing == 1


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"OPTIONS / RTSP/1.0\r\nContent-Length: -5\r\n\r\n",
        b"x" * 4 * MAX_REQUEST_BYTES * 5,
    ],
)
def test_what_is_no_request_ends_that_connection_alone(second: Film, rubbish: bytes) -> None:
    with RtspCameras({"/a": Channel(second)}) as cameras:
        with socket.create_connection((cameras.host, cameras.port), timeout=10) as client:
            try:
                client.sendall(rubbish)
                assert client.recv(100) == b""
            except ConnectionError:
                pass  # closed with some of it unread
        with opened(cameras.url("/a")) as source:
            assert next(source.decode(video=0)).height == 180
