"""Camera addresses: what may be opened at all (S11), and to which network address it is pinned.

Invariants: nothing is opened whose scheme, host, network address and every character was not looked at; a name is resolved
once, every address it has must be allowed, and the URL that FFmpeg gets holds that address and no name. Credentials stand
apart from the URL and in no `repr`. What a server answers is for `preflight` and `peers`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from model.errors import NotFound, Refused, TryAgain, UsageError

#: Longest address, and longest path with query; FFmpeg cuts at 1,024 without a word.
MAX_URL_CHARS = 1_000
MAX_PATH_CHARS = 500
#: Longest `user:password` as it stands in a URL; FFmpeg cuts at 127.
MAX_LOGIN_CHARS = 120
MAX_HOST_CHARS = 253
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}
#: Demuxer of a file by its suffix; playlists and everything that may name other files or addresses are not among them.
FILE_FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".ts": "mpegts",
    ".avi": "avi",
}
#: Words of a query that FFmpeg, in some version, takes for an option of its own.
OPTION_WORDS = frozenset(
    ["tcp", "udp", "multicast", "udp_multicast", "http", "https", "listen", "filter_src", "prefer_tcp", "satip_raw"]
)

#: Networks that count only where a setting names them or a part of them; `0.0.0.0/0` does not.
SPECIAL_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2002::/16",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
#: The metadata service of clouds in its IPv6 form, inside a network that is allowed by default.
_METADATA_V6 = ipaddress.ip_network("fd00:ec2::254/128")

_ADDRESS = re.compile(r"[!-~]+")
_NOT_IN_URL = re.compile(r"[|,\\^`{}\"<>#]|%(?:[01][0-9a-f]|7f|[89a-f][0-9a-f]|(?![0-9a-f]{2}))", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\.?", re.IGNORECASE)
_FILE_NAME = re.compile(r"[\w(][\w .()+@=-]*", re.ASCII)
_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)
_MEND = "Give it as rtsp://user:password@10.20.0.5:554/path, rtsps://… or file:NAME."

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def redacted(text: str) -> str:
    """`text` without the `user:password@` of any URL in it."""
    return _LOGIN.sub(r"\1", text)


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """An address as it was written, taken apart and not yet allowed.

    Attributes:
        scheme: `rtsp`, `rtsps` or `file`.
        host, port: of a server, the host without brackets; "" and 0 of a file.
        path: with its query, from the slash; a file's name.
        user, password: as a person would type them; "" none.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """What may be shown: no user, no password, and no query, where some cameras have theirs."""
        if self.scheme == "file":
            return f"file:{self.path}"
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}{self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class PinnedAddress:
    """An address that may be opened, now.

    Attributes:
        scheme, host, port, path: see `CameraAddress`; the path of a file is its name.
        ip: the address that `host` had; "" of a file.
        user, password: for the server; in no `repr`.
        shown: a text without credentials, e.g. `rtsp://10.0.0.1:554/ch1`.
        file: where a file lies, else None.
    """

    scheme: str
    host: str
    ip: str
    port: int
    path: str
    shown: str
    file: Path | None = field(default=None, repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """What FFmpeg opens: the host is the pinned network address; with credentials, so never to be shown."""
        if self.file is not None:
            return f"file:{self.file}"
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user or self.password else ""
        return f"{self.scheme}://{login}{_bracketed(self.ip)}:{self.port}{self.path}"

    @property
    def request_uri(self) -> str:
        """What stands in the requests to the server: no credentials."""
        return f"{self.scheme}://{_bracketed(self.ip)}:{self.port}{self.path}"

    @property
    def format(self) -> str:
        """The one demuxer that may read it."""
        return "rtsp" if self.file is None else FILE_FORMATS[self.file.suffix.lower()]

    @property
    def protocols(self) -> str:
        """The protocols of FFmpeg that it may use. `rtsp` is not among them: so FFmpeg 8 follows no redirect."""
        return {"file": "file", "rtsp": "rtp,udp,tcp", "rtsps": "tls,tcp"}[self.scheme]


def parse_address(text: str) -> CameraAddress:
    """Take an address apart.

    Raises UsageError where it is none, and Refused where its scheme or form is one that is never opened. No error repeats
    the address, since it may hold a password.
    """
    if not text or len(text) > MAX_URL_CHARS:
        raise UsageError(f"An address has 1 to {MAX_URL_CHARS} characters.", mend=_MEND)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if colon and scheme == "file":
        return CameraAddress("file", "", 0, _file_name(rest))
    if _ADDRESS.fullmatch(text) is None or _NOT_IN_URL.search(text):
        raise Refused("The address has characters that an address may not have.", mend=f"Write them as %XX. {_MEND}")
    if not colon or scheme not in DEFAULT_PORTS:
        raise Refused("A camera is opened by rtsp://, rtsps:// or file: alone.", mend=_MEND)
    if not rest.startswith("//"):
        raise UsageError("After rtsp: come two slashes.", mend=_MEND)
    return _server_address(scheme, text)


def _server_address(scheme: str, text: str) -> CameraAddress:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("The address has no valid host and port.", mend=_MEND) from None
    netloc = parts.netloc
    if netloc.count("@") > 1:
        raise UsageError("The address has more than one @ before its path.", mend="Write an @ in a password as %40.")
    host_text = netloc.rpartition("@")[2]
    if host_text.startswith("["):
        host = str(_literal(host, ipaddress.IPv6Address))
    elif _HOST.fullmatch(host) is None or ".." in host or len(host) > MAX_HOST_CHARS:
        raise UsageError("The address has no valid host.", mend=_MEND)
    if port == 0:
        raise UsageError("A port is 1 to 65535.", mend=_MEND)
    path = parts.path + (f"?{parts.query}" if "?" in text.partition(netloc)[2] else "")
    if len(path) > MAX_PATH_CHARS:
        raise UsageError(f"The path has more than {MAX_PATH_CHARS} characters.", mend=_MEND)
    _check_query(path)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if len(quote(user, safe="") + quote(password, safe="")) + 1 > MAX_LOGIN_CHARS:
        raise UsageError(
            f"Name and password have more than {MAX_LOGIN_CHARS} characters.", mend="Set shorter ones on the camera."
        )
    return CameraAddress(scheme, host, port or DEFAULT_PORTS[scheme], path or "/", user, password)


def _check_query(path: str) -> None:
    for piece in re.split(r"[?&]", path)[1:]:
        name = unquote(piece.partition("=")[0]).lower()
        if (name in OPTION_WORDS and "=" not in piece) or name in {"listen", "listen_timeout", "localaddr", "timeout"}:
            raise Refused(
                "The address carries an option of the reader.", mend="Leave it out; `transport` is a setting."
            )


def _literal(text: str, kind: type[ipaddress.IPv6Address]) -> ipaddress.IPv6Address:
    try:
        address = kind(text)
    except ValueError:
        raise UsageError("The address has no valid IPv6 host.", mend=_MEND) from None
    if address.scope_id is not None:
        raise Refused("An address with a zone (%…) is not opened.", mend="Give the camera a routed address.")
    return address


def _file_name(name: str) -> str:
    if _FILE_NAME.fullmatch(name) is None or Path(name).name != name:
        raise Refused(
            "A file is named by a plain name of letters, digits, spaces and ._()+@=-, without a folder.",
            mend="Put it into camera.files_dir and give its name: file:NAME.",
        )
    if Path(name).suffix.lower() not in FILE_FORMATS:
        raise Refused(
            f"A file has to be one of {' '.join(sorted(FILE_FORMATS))}.",
            mend="Give a video file; playlists are not read.",
        )
    return name


def check_address(
    url: str, *, allow_networks: Sequence[str], files_dir: Path | None, resolve: Resolve = socket.getaddrinfo
) -> PinnedAddress:
    """Check an address and pin it to a network address.

    Args:
        url: as a person wrote it.
        allow_networks: `camera.allow_networks`; one inside `SPECIAL_NETWORKS` (loopback, link-local, …) has to be named.
        files_dir: `camera.files_dir`; None: no files.
        resolve: as `socket.getaddrinfo`; called once, and it may take as long as the resolver takes.

    Raises Refused (not allowed), UsageError (no address), NotFound (no such file), TryAgain (the name is not known now).
    """
    address = parse_address(url)
    if address.scheme == "file":
        return _pinned_file(address, files_dir)
    networks = [ipaddress.ip_network(text, strict=False) for text in allow_networks]
    found = _resolved(address, resolve)
    for ip in found:
        if not _allowed(ip, networks):
            raise Refused(
                f"{address.host} is {ip}, which lies in no network that cameras may be in."
                if str(ip) != address.host
                else f"{ip} lies in no network that cameras may be in.",
                mend="Add its network to camera.allow_networks.",
            )
    return PinnedAddress(
        scheme=address.scheme,
        host=address.host,
        ip=str(found[0]),
        port=address.port,
        path=address.path,
        shown=address.shown,
        user=address.user,
        password=address.password,
    )


def _pinned_file(address: CameraAddress, files_dir: Path | None) -> PinnedAddress:
    if files_dir is None:
        raise Refused("Files are not played here.", mend="Set camera.files_dir to the folder of the files.")
    folder = files_dir.resolve()
    file = (folder / address.path).resolve()
    if file.parent != folder:
        raise Refused(f"{address.path} leads out of camera.files_dir.", mend="Put the file itself there.")
    if file.name != address.path and file.suffix.lower() not in FILE_FORMATS:
        raise Refused(f"{address.path} is a link to a file of another kind.", mend="Put the file itself there.")
    if not file.is_file():
        raise NotFound(f"There is no file {address.path} in camera.files_dir.", mend="Put it there.")
    return PinnedAddress("file", "", "", 0, address.path, address.shown, file=file)


def _resolved(address: CameraAddress, resolve: Resolve) -> list[IpAddress]:
    try:
        answers = resolve(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers = []
    found: list[IpAddress] = []
    for family, *_, place in answers:
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        ip = ipaddress.ip_address(str(place[0]).partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if ip not in found:
            found.append(ip)
    if not found:
        raise TryAgain(f"The name {address.host} is not known.", mend="Check the name, or give the network address.")
    return found


def _allowed(ip: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    special = [network for network in (*SPECIAL_NETWORKS, _METADATA_V6) if ip in network]
    return any(
        ip in network and all(_inside(network, outer) for outer in special)
        for network in networks
        if network.version == ip.version
    )


def _inside(network: IpNetwork, outer: IpNetwork) -> bool:
    if isinstance(network, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return network.subnet_of(outer)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return network.subnet_of(outer)
    return False


def make_addresses(
    url: str, *, allow_networks: Sequence[str], files_dir: Path | None, resolve: Resolve = socket.getaddrinfo
) -> Callable[[], PinnedAddress]:
    """A function that checks and resolves `url` anew at each call, as `CameraConnection` wants it."""

    def make() -> PinnedAddress:
        return check_address(url, allow_networks=allow_networks, files_dir=files_dir, resolve=resolve)

    return make
