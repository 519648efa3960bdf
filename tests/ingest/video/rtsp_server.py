"""An RTSP server (GStreamer's) that sends prepared pictures at their times, over and over; nothing is encoded meanwhile.

Run by the system's Python, which has GStreamer's bindings: `python3 rtsp_server.py SETTINGS` with the JSON of `tests.rtsp`,
or `--check` (exit status 1 and words on stderr when something is missing). It writes `ready` when it listens.

A file of pictures is one JSON line (`{"codec": "h264", "length_ns": …}`), then for each picture 21 bytes, big-endian: its size
(u32), when it is sent (i64, ns), its presentation time (i64, ns), flags (u8, 1 keyframe), and then the picture as Annex B.
"""

from __future__ import annotations

import importlib
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any

#: Elements that the server's pipelines use.
ELEMENTS = ("appsrc", "h264parse", "h265parse", "rtph264pay", "rtph265pay", "audiotestsrc", "alawenc", "rtppcmapay")
_HEAD = struct.Struct(">IqqB")
_AUDIO = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay pt=8 name="
_VIDEO = {
    "h264": "appsrc name=pictures is-live=true format=time ! video/x-h264,stream-format=byte-stream,alignment=au"
    " ! h264parse ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency name=pay0",
    "hevc": "appsrc name=pictures is-live=true format=time ! video/x-h265,stream-format=byte-stream,alignment=au"
    " ! h265parse ! rtph265pay pt=96 config-interval=-1 name=pay0",
}


def _libraries() -> tuple[Any, Any, Any, Any]:
    gi: Any = importlib.import_module("gi")
    for name in ("Gst", "GstRtsp", "GstRtspServer"):
        gi.require_version(name, "1.0")
    gst, rtsp, rtsp_server, glib = (
        importlib.import_module(f"gi.repository.{name}") for name in ("Gst", "GstRtsp", "GstRtspServer", "GLib")
    )
    gst.init(None)
    return gst, rtsp, rtsp_server, glib


def missing() -> str:
    """What is missing here, "" for nothing."""
    try:
        gst = _libraries()[0]
    except (ImportError, ValueError, AttributeError) as error:
        return str(error)
    return ", ".join(name for name in ELEMENTS if gst.ElementFactory.find(name) is None)


def read_pictures(path: Path) -> tuple[str, int, list[tuple[int, int, bytes]]]:
    """Codec, length (ns), and of each picture when it is sent (ns), its presentation time (ns) and its bytes."""
    data = path.read_bytes()
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    pictures = []
    at = 0
    while at < len(rest):
        size, due_ns, pts_ns, _flags = _HEAD.unpack_from(rest, at)
        at += _HEAD.size
        pictures.append((due_ns, pts_ns, rest[at : at + size]))
        at += size
    return head["codec"], head["length_ns"], pictures


class Pusher:
    """Puts the pictures of one file into one `appsrc` when they are due, and begins again at the end."""

    def __init__(self, libraries: tuple[Any, Any, Any, Any], source: Any, file: Path, *, loop: bool) -> None:
        self._gst, _, _, self._glib = libraries
        self._source = source
        _, self._length_ns, self._pictures = read_pictures(file)
        self._loop = loop
        self._next = 0
        self._round = 0
        self._start_ns = -1
        source.connect("need-data", self._need)

    def _need(self, *_: Any) -> None:
        if self._start_ns < 0:
            self._start_ns = time.monotonic_ns()
            self._glib.idle_add(self._push)

    def _push(self) -> bool:
        while True:
            due_ns, pts_ns, data = self._pictures[self._next]
            base_ns = self._round * self._length_ns
            wait_ns = self._start_ns + base_ns + due_ns - time.monotonic_ns()
            if wait_ns > 0:
                self._glib.timeout_add(max(1, wait_ns // 1_000_000), self._push)
                return False
            buffer = self._gst.Buffer.new_wrapped(data)
            buffer.pts = base_ns + pts_ns
            if self._source.emit("push-buffer", buffer) != self._gst.FlowReturn.OK:
                return False
            self._next += 1
            if self._next == len(self._pictures):
                self._next = 0
                self._round += 1
                if not self._loop:
                    self._source.emit("end-of-stream")
                    return False


def _secure(libraries: tuple[Any, Any, Any, Any], server: Any, users: dict[str, str], *, digest: bool) -> None:
    _, rtsp, rtsp_server, _ = libraries
    auth = rtsp_server.RTSPAuth.new()
    auth.set_supported_methods(rtsp.RTSPAuthMethod.DIGEST if digest else rtsp.RTSPAuthMethod.BASIC)
    for user, password in users.items():
        token = rtsp_server.RTSPToken()
        token.set_string("media.factory.role", "known")
        if digest:
            auth.add_digest(user, password, token)
        else:
            auth.add_basic(rtsp_server.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def _factory(libraries: tuple[Any, Any, Any, Any], mount: dict[str, Any]) -> Any:
    rtsp_server = libraries[2]
    factory = rtsp_server.RTSPMediaFactory()
    parts = []
    if mount["pictures"]:
        codec = read_pictures(Path(mount["pictures"]))[0]
        parts.append(_VIDEO[codec])
    if mount["audio"]:
        parts.append(_AUDIO + f"pay{len(parts)}")
    factory.set_launch("( " + " ".join(parts) + " )")
    factory.set_shared(not mount["own"])
    factory.set_latency(0)
    roles = rtsp_server.RTSPPermissions()
    roles.add_permission_for_role("known", "media.factory.access", True)
    roles.add_permission_for_role("known", "media.factory.construct", True)
    factory.set_permissions(roles)
    pushers: list[Pusher] = []

    def configure(_: Any, media: Any) -> None:
        if mount["pictures"]:
            source = media.get_element().get_by_name_recurse_up("pictures")
            pushers.append(Pusher(libraries, source, Path(mount["pictures"]), loop=mount["loop"]))
            media.connect("unprepared", lambda _: pushers.clear())

    factory.connect("media-configure", configure)
    return factory


def serve(settings: dict[str, Any]) -> None:
    """Serve until killed."""
    libraries = _libraries()
    _, _, rtsp_server, glib = libraries
    server = rtsp_server.RTSPServer.new()
    server.set_address(settings.get("listen", "127.0.0.1"))
    server.set_service(str(settings["port"]))
    if settings["users"]:
        _secure(libraries, server, settings["users"], digest=settings["digest"])
    mounts = server.get_mount_points()
    for path, mount in settings["mounts"].items():
        mounts.add_factory(path, _factory(libraries, mount))
    if server.attach(None) == 0:
        sys.exit("cannot listen")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    glib.MainLoop().run()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        text = missing()
        if text:
            sys.stderr.write(f"missing: {text}\n")
        sys.exit(bool(text))
    serve(json.loads(Path(sys.argv[1]).read_text()))
