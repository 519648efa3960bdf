"""The remote client against a service that dies in the middle of an answer."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.client import RemoteClient
from model.errors import TryAgain

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Dying:
    """Answers one request with these bytes and goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.says = b""
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            with peer:
                peer.recv(65_536)
                peer.sendall(self.says)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Dying]:
    made = Dying(tmp_path / "api.sock")
    yield made
    made.close()


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="within the head"),
        pytest.param(HEAD + b"Content-Length: 20\r\n\r\n", id="before the body"),
        pytest.param(HEAD + b'Content-Length: 20\r\n\r\n{"points": [', id="within the body"),
        pytest.param(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"poi\r\n', id="between two chunks"),
        pytest.param(HEAD + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"poi', id="within a chunk"),
    ],
)
def test_an_answer_that_is_cut_short_is_no_answer(dying: Dying, says: bytes) -> None:
    dying.says = says
    client = RemoteClient(dying.path)
    with pytest.raises(TryAgain, match="broke off"):
        client.call("status")
    with pytest.raises(TryAgain, match="broke off"):
        list(client.track(device="taxi/1", from_ms=0, to_ms=1))
    with pytest.raises(TryAgain, match="broke off"):
        list(client.watch())


def test_a_whole_answer_is_one(dying: Dying) -> None:
    dying.says = HEAD + b'Content-Length: 10\r\n\r\n{"up": 12}'
    assert RemoteClient(dying.path).call("status") == {"up": 12}
