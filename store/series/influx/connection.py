"""The way to an InfluxDB server: one body of lines out, one answer to a parameterised query back.

Purpose: influxdb-client as transport, and its errors as what they mean here. Invariants: a query's text is a constant of
this package and values enter by its parameters alone; no token leaves by an error or a log; every request has a time-out.
It repeats nothing: who may wait, and for how long, is decided by its callers.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import StoreError, TryAgain

if TYPE_CHECKING:
    from influxdb_client import InfluxDBClient

DEFAULT_WRITE_TIMEOUT_MS = 10_000
DEFAULT_QUERY_TIMEOUT_MS = 60_000
DEFAULT_MAX_ANSWER_BYTES = 1 << 30
#: Of the server's own words in an error.
MAX_WORDS = 300
_READ_BYTES = 1 << 20
#: Faster than the default of 6 and nearly as small: lines repeat themselves.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31
_WAIT_AND_TRY = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS))
_DENIED = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))

#: A value of a query's parameter.
Param = str | int
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Away(TryAgain):
    """The server is not there, too busy, or does not let us in now; `wait_s` is what it asks for, 0 when nothing."""

    code = "series_away"

    def __init__(self, message: str, *, mend: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message, mend=mend)
        self.wait_s = wait_s


class Denied(Away):
    """It is there and refuses us: the token, the organisation or a bucket is not right."""

    code = "series_denied"


class LinesRefused(StoreError):
    """The server refused a body for what is in it; `too_large` when for its size alone."""

    code = "lines_refused"

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message, mend="See `lucheng quarantine list --reason store_refused`.")
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class Server:
    """Where the series go.

    Attributes:
        url: `http://host:8086` or `https://…`.
        org: organisation (InfluxDB 3 Core: anything).
        token: what lets us in; never shown.
        bucket: points and numbers; `BUCKET_state`, `BUCKET_hourly` lie beside it.
        gzip: whether bodies and answers are compressed.
        write_timeout_ms, query_timeout_ms: of one request.
        max_answer_bytes: of one query's answer.
        ca_file: certificate authority for https (PEM); None: the system's.
    """

    url: str
    org: str
    token: str = field(repr=False)
    bucket: str = "lucheng"
    gzip: bool = True
    write_timeout_ms: int = DEFAULT_WRITE_TIMEOUT_MS
    query_timeout_ms: int = DEFAULT_QUERY_TIMEOUT_MS
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES
    ca_file: Path | None = None

    @property
    def state_bucket(self) -> str:
        """Position and counters."""
        return f"{self.bucket}_state"

    @property
    def hourly_bucket(self) -> str:
        """What the down-sampling task leaves."""
        return f"{self.bucket}_hourly"


class Connection:
    """One server. All methods may be called from any thread.

    Args:
        server: see `Server`.
    """

    def __init__(self, server: Server) -> None:
        # a second of imports, needed by those alone whose series are in InfluxDB
        from influxdb_client import InfluxDBClient  # noqa: PLC0415 see above
        from influxdb_client.service.write_service import WriteService  # noqa: PLC0415 see above

        self.server = server
        self._client: InfluxDBClient = InfluxDBClient(
            url=server.url,
            token=server.token,
            org=server.org,
            timeout=server.query_timeout_ms,
            enable_gzip=False,
            ssl_ca_cert=None if server.ca_file is None else str(server.ca_file),
            connection_pool_maxsize=8,
        )
        self._write = WriteService(self._client.api_client)
        self._queries = self._client.query_api()

    @property
    def client(self) -> InfluxDBClient:
        """The library's own client, for what is set up once."""
        return self._client

    def write(self, bucket: str, body: bytes) -> None:
        """Send lines, and return when the server has them on its disk.

        Raises Away (nothing is known of them: send the same again), LinesRefused.
        """
        more: dict[str, Any] = {}
        if self.server.gzip:
            packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            body = packer.compress(body) + packer.flush()
            more["content_encoding"] = "gzip"
        with talking(writing=True):
            self._write.post_write(
                self.server.org,
                bucket,
                body,
                precision="ns",
                _request_timeout=self.server.write_timeout_ms,
                **more,
            )

    def rows(self, query: str, params: Mapping[str, Param], columns: Sequence[str]) -> Iterator[list[str]]:
        """Rows of a query's answer, the named columns of each as text ("" where a table lacks one).

        Args:
            query: Flux; a constant of this package.
            params: values of its free names.
            columns: what is wanted of each row.

        Raises Away; StoreError when the query failed on the server.
        """
        from influxdb_client import Dialect  # noqa: PLC0415 see `__init__`

        dialect = Dialect(
            header=True, delimiter=",", annotations=[], comment_prefix="#", date_time_format="RFC3339Nano"
        )
        with talking(writing=False):
            answer = self._queries.query_raw(query, dialect=dialect, params=dict(params))
            try:
                raw = io.BufferedReader(_Bounded(answer, self.server.max_answer_bytes), _READ_BYTES)
                text = io.TextIOWrapper(raw, "utf-8", newline="")
                yield from _tables(csv.reader(text), columns)
            finally:
                answer.release_conn()

    def delete(self, bucket: str, from_ms: int, to_ms: int, predicate: str) -> None:
        """Delete what has from_ms <= time < to_ms and fits `predicate` (of this package's own making: it takes no parameters)."""
        until = _when(to_ms) - timedelta(microseconds=1)  # the server deletes the end of a window, too
        with talking(writing=False):
            self._client.delete_api().delete(_when(from_ms), until, predicate, bucket=bucket)

    def ready(self) -> bool:
        """Whether the server answers at all."""
        try:
            return bool(self._client.ping())
        except Exception:  # whatever it is, it is not there
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _when(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)


@contextmanager
def talking(*, writing: bool) -> Iterator[None]:
    """The transport's errors as ours."""
    from influxdb_client.client.exceptions import InfluxDBError  # noqa: PLC0415 see `Connection`
    from influxdb_client.rest import ApiException  # noqa: PLC0415 see `Connection`
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 see `Connection`

    try:
        yield
    except ApiException as error:
        raise _translated(error, writing=writing) from None  # its text repeats headers
    except (HTTPError, InfluxDBError, OSError) as error:
        raise Away(
            f"The InfluxDB server cannot be reached: {type(error).__name__}.",
            mend="Start it, or mend influx.url; what came in stays in the log until then.",
        ) from None


def _translated(error: Any, *, writing: bool) -> Away | LinesRefused | StoreError:
    status = int(error.status or 0)
    words = _words(error)
    if writing and status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return LinesRefused(words)
    if writing and status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return LinesRefused(words, too_large=True)
    if status in _DENIED:
        return Denied(
            f"The InfluxDB server refuses us ({status}): {words}",
            mend="Mend influx.token_file, influx.org or influx.bucket, or run `lucheng store init`.",
        )
    if not status or status in _WAIT_AND_TRY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Away(
            f"The InfluxDB server is not able to answer ({status}): {words}",
            mend="Look at its log; what came in stays in our log until then.",
            wait_s=_retry_after(error),
        )
    return StoreError(f"The InfluxDB server refused a request ({status}): {words}", mend="Look at its log.")


def _words(error: Any) -> str:
    """The server's own message, bounded, on one line."""
    import json  # noqa: PLC0415 needed for errors alone

    body = error.body
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or error.reason or "")
    try:
        found = json.loads(text)
        text = str(found.get("message") or found.get("error") or text) if isinstance(found, dict) else text
    except ValueError:
        pass
    return " ".join(text.split())[:MAX_WORDS]


def _retry_after(error: Any) -> float:
    try:
        return max(float((error.headers or {}).get("Retry-After", 0)), 0.0)
    except ValueError:
        return 0.0


class _Bounded(io.RawIOBase):
    """An answer as a stream that ends with an error when it grows too long."""

    def __init__(self, answer: Any, max_bytes: int) -> None:
        super().__init__()
        self._answer = answer
        self._left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._answer.read(min(len(buffer), _READ_BYTES), decode_content=True)
        self._left -= len(data)
        if self._left < 0:
            raise StoreError("The InfluxDB server's answer is too long.", mend="Ask for a shorter time.")
        buffer[: len(data)] = data
        return len(data)


def _tables(lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[list[str]]:
    """Rows of an answer's tables; an empty line ends a table, and the next line names the columns of the next."""
    places: list[int] | None = None
    for line in lines:
        if not line:
            places = None
        elif places is None:
            if "error" in line and "reference" in line:
                words = next(lines, [""] * len(line))[line.index("error")]
                raise StoreError(
                    f"The InfluxDB server could not answer: {' '.join(words.split())[:MAX_WORDS]}",
                    mend="Look at its log; `lucheng store init` sets up what is missing.",
                )
            places = [line.index(name) if name in line else -1 for name in columns]
        else:
            yield [line[at] if at >= 0 else "" for at in places]
