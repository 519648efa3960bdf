"""The pages' files: `index.html` for every path without an extension, `/assets/*` for ever, a few files of the root.

Invariants: a name is one plain file of the folder, through no link and no parent; what is in `assets` carries its hash in its name and
is kept by browsers for ever, everything else is asked after; texts go out compressed, made once. Where no pages were built, a page in both
languages says what to do.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.web.problems import WebProblem, problem_answer

BUILT = Path(__file__).parent / "built"
#: Largest file that is given out; all files kept in memory together.
MAX_FILE_BYTES = 16 << 20
MAX_KEPT_BYTES = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,199}", re.ASCII)
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
}
_COMPRESSED = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt"})
_FOR_EVER = "public, max-age=31536000, immutable"
_NOT_BUILT = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>鹿城 Lucheng</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>
<h1>网页尚未构建</h1>
<p>服务正常运行，但安装中没有控制台网页。请在项目目录安装 Node 20.19 或更新版本后执行 <code>make web</code>，再刷新本页；或安装附带网页的发行包。</p>
<h1 lang="en">The pages have not been built</h1>
<p lang="en">The service runs, but this installation has no pages of the console. Install Node 20.19 or newer, run <code>make web</code> in the
project's folder and reload this page; or install the wheel, which has them.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    stamp: tuple[int, int]
    etag: str
    media_type: str
    plain: bytes
    packed: bytes | None


class Pages:
    """An ASGI application over the folder of built pages.

    Args:
        folder: what `make web` made; it may be missing, or be built anew meanwhile.
    """

    def __init__(self, folder: Path = BUILT) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._kept: dict[str, _File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await run_in_threadpool(self._answer, scope)
        if scope["method"] == "HEAD":
            answer.body = b""
        await answer(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        headers = Headers(scope=scope)
        path: str = scope["path"]
        last = path.rpartition("/")[2]
        if path.startswith("/assets/"):
            found = self._file("assets/", path.removeprefix("/assets/"))
            kept = _FOR_EVER
        elif "." in last:
            found = self._file("", path.removeprefix("/"))
            kept = "no-cache"
        else:
            found = self._file("", "index.html")
            kept = "no-cache"
            if found is None:
                return Response(_NOT_BUILT, 503, media_type="text/html; charset=utf-8")
        if found is None:
            return problem_answer(scope, WebProblem("not_found"))
        return _given(found, headers, kept)

    def _file(self, folder: str, name: str) -> _File | None:
        """The file, read anew where it has changed; None: there is none."""
        if not _NAME.fullmatch(name):
            return None
        path = self._folder / folder / name
        suffix = path.suffix.lower()
        try:
            known = path.lstat()
            if suffix not in _MEDIA_TYPES or path.is_symlink() or not path.is_file() or known.st_size > MAX_FILE_BYTES:
                return None
            stamp = known.st_mtime_ns, known.st_size
            kept = self._kept.get(folder + name)
            if kept is not None and kept.stamp == stamp:
                return kept
            plain = path.read_bytes()
        except OSError:
            return None
        packed = gzip.compress(plain, 6, mtime=0) if suffix in _COMPRESSED else None
        if packed is not None and len(packed) >= len(plain):
            packed = None
        etag = f'"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"'
        made = _File(stamp, etag, _MEDIA_TYPES[suffix], plain, packed)
        with self._lock:
            if sum(len(one.plain) + len(one.packed or b"") for one in self._kept.values()) > MAX_KEPT_BYTES:
                self._kept.clear()
            self._kept[folder + name] = made
        return made


def _given(found: _File, headers: Headers, kept: str) -> Response:
    about = {"etag": found.etag, "cache-control": kept, "vary": "accept-encoding"}
    if headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=about)
    if found.packed is not None and "gzip" in headers.get("accept-encoding", ""):
        return Response(found.packed, 200, about | {"content-encoding": "gzip"}, found.media_type)
    return Response(found.plain, 200, about, found.media_type)
