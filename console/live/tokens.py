"""The token that opens the live view: its file, the session that is made of it, and what wrong ones cost.

Invariants: a token file is readable by its owner alone and its owner is who runs the service, else it is refused; what a
browser keeps is derived from the token and ends, and the token cannot be had from it; every comparison takes the same time
wherever the texts differ; the token is in no `repr`, log line or error. Wrong tokens make all tokens wait, never sessions.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import threading
from pathlib import Path

from model.clock import Clock
from model.errors import Refused, StoreError

#: In the data folder, while the service runs.
TOKEN_NAME = "live.token"  # noqa: S105 a file's name
TOKEN_BYTES = 32
#: Shortest token that a person may set, and the most of a file that is read.
MIN_TOKEN_CHARS = 32
MAX_TOKEN_CHARS = 256
_MAX_FILE_BYTES = 4_096
DEFAULT_SESSION_S = 12 * 3_600
#: Wrong tokens that cost nothing; then the wait doubles from the first to the longest.
DEFAULT_FREE_WRONGS = 5
DEFAULT_WAIT_MIN_S = 1.0
DEFAULT_WAIT_MAX_S = 60.0
_PURPOSE = b"lucheng live session 1:"


def new_token_file(path: Path) -> str:
    """Make a token and write it to `path`, as `write_token_file`."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_token_file(path, token)
    return token


def write_token_file(path: Path, token: str) -> None:
    """Write a token to `path`, mode 0600, in place of what was there. Raises StoreError."""
    made = path.with_name(f"{path.name}.new")
    try:
        made.unlink(missing_ok=True)
        number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        made.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.", mend="Check the data folder.") from error


def read_token_file(path: Path) -> str:
    """The token on the first line of `path`.

    Raises Refused: it is missing, a link, somebody else's, open to others, or holds no token.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(
            f"The token file {path} cannot be opened: {error.strerror}.",
            mend="Name a file, not a link: live.token_file.",
        ) from error
    try:
        known = os.fstat(number)
        if not stat.S_ISREG(known.st_mode):
            raise Refused(f"{path} is no file.", mend="Name a file in live.token_file.")
        if known.st_uid != os.geteuid() or known.st_mode & 0o077:
            raise Refused(
                f"{path} may be read by others than who runs the service.", mend="chown it to that user, and chmod 600."
            )
        first = os.read(number, _MAX_FILE_BYTES).partition(b"\n")[0].strip()
    finally:
        os.close(number)
    token = first.decode("ascii", "replace")
    if not MIN_TOKEN_CHARS <= len(token) <= MAX_TOKEN_CHARS or not (token.isascii() and token.isprintable()):
        raise Refused(
            f"The first line of {path} is no token.",
            mend=f"Write {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} printable ASCII characters, made at random.",
        )
    return token


def remove_token_file(path: Path, token: str) -> None:
    """Take away the file that `new_token_file` made, unless another start has put its own there."""
    with contextlib.suppress(OSError, Refused):
        if read_token_file(path) == token:
            path.unlink()


class Keys:
    """Says whether a token or a session is right. Any thread may call anything.

    Args:
        token: the right one.
        clock: what sessions and waits are measured with (`monotonic_s`).
        session_s: how long a session holds.
        free_wrongs: wrong tokens that cost nothing; each further one makes all tokens wait, twice as long as the one before.
        wait_min_s, wait_max_s: first and longest wait; after twice the longest without a wrong one all is forgotten.
    """

    def __init__(
        self,
        token: str,
        *,
        clock: Clock,
        session_s: float = DEFAULT_SESSION_S,
        free_wrongs: int = DEFAULT_FREE_WRONGS,
        wait_min_s: float = DEFAULT_WAIT_MIN_S,
        wait_max_s: float = DEFAULT_WAIT_MAX_S,
    ) -> None:
        # Digests have one length, so that a comparison tells nothing of the token's.
        self._token = hashlib.sha256(token.encode()).digest()
        # Something of this start is in the key: sessions end with the service, and their clock starts anew with it.
        self._key = hmac.digest(token.encode(), _PURPOSE + secrets.token_bytes(16), "sha256")
        self._clock = clock
        self._session_s = session_s
        self._free_wrongs = free_wrongs
        self._wait_min_s = wait_min_s
        self._wait_max_s = wait_max_s
        self._lock = threading.Lock()
        self._wrongs = 0
        self._wrong_at_s = 0.0
        self._open_at_s = 0.0

    def wait_s(self) -> float:
        """How long no token is looked at, seconds; 0 when the next one is."""
        with self._lock:
            return max(0.0, self._open_at_s - self._clock.monotonic_s())

    def opens(self, given: str) -> bool:
        """Whether `given` is the token. While `wait_s` is not 0 no token is, the right one neither."""
        right = hmac.compare_digest(hashlib.sha256(given.encode("utf-8", "replace")).digest(), self._token)
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s < self._open_at_s:
                return False
            if right:
                return True
            if now_s - self._wrong_at_s > 2 * self._wait_max_s:
                self._wrongs = 0
            self._wrongs += 1
            self._wrong_at_s = now_s
            over = self._wrongs - self._free_wrongs
            if over > 0:
                self._open_at_s = now_s + min(self._wait_min_s * 2 ** min(over - 1, 20), self._wait_max_s)
            return False

    def new_session(self) -> str:
        """What a browser keeps instead of the token."""
        ends = f"{int(self._clock.monotonic_s() + self._session_s)}"
        return f"{ends}.{self._seal(ends)}"

    def holds(self, session: str) -> bool:
        """Whether `session` was made here with this token and has not ended."""
        ends, _, seal = session.partition(".")
        sealed = hmac.compare_digest(self._seal(ends).encode(), seal.encode("utf-8", "replace"))
        return sealed and ends.isascii() and ends.isdigit() and self._clock.monotonic_s() < int(ends)

    def _seal(self, ends: str) -> str:
        return hmac.new(self._key, ends.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
