"""Pages and the way in: files as browsers keep them, a page where none were built, TLS, names, and a server that stops."""

from __future__ import annotations

import datetime as dt
import gzip
import http.client
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from console.web.server import WebServer, names_of
from model.errors import Conflict, SettingsError
from tests.conftest import free_port
from tests.console.web.web_house import WebHouse

SCRIPT = b"// a script\n" * 400


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder of pages."""
    folder = tmp_path / "built"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "technician-worker.js").write_text("// worker")
    (folder / "technician.webmanifest").write_text("{}")
    (folder / "assets" / "index-abc123.js").write_bytes(SCRIPT)
    (folder / "assets" / "strange.exe").write_bytes(b"MZ")
    (folder / ".made-1").write_text("stamp")
    (tmp_path / "secret.js").write_text("outside")
    (folder / "assets" / "link.js").symlink_to(tmp_path / "secret.js")
    return folder


def test_pages_are_given_as_browsers_keep_them(tmp_path: Path, built: Path) -> None:
    with WebHouse(tmp_path / "data", people=False, pages=built) as web:
        for path in ("//", "//desk", "//cameras/camera/7", "//map", "//anything/below"):
            page = web.ask("GET", path)
            assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8"), path
            assert page.headers["cache-control"] == "no-cache"
        assert web.ask("GET", "//desk", if_none_match=page.headers["etag"]).status == 304
        script = web.ask("GET", "//assets/index-abc123.js", accept_encoding="gzip, br")
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-encoding"] == "gzip"
        assert gzip.decompress(script.raw) == SCRIPT
        assert web.ask("GET", "//assets/index-abc123.js").raw == SCRIPT
        head = web.ask("HEAD", "//assets/index-abc123.js", origin=None)
        assert (head.status, head.raw) == (200, b"")
        assert web.ask("GET", "//technician-worker.js").headers["content-type"].startswith("text/javascript")
        assert web.ask("GET", "//technician.webmanifest").headers["content-type"] == "application/manifest+json"
        for missing in (
            "//assets/none.js",
            "//none.js",
            "//assets/link.js",
            "//assets/strange.exe",
            "//.made-1",
            "//assets/",
        ):
            answer = web.ask("GET", missing)
            assert answer.code == "not_found", missing
            assert b"outside" not in answer.raw
        assert web.ask("POST", "//desk", {}).code == "method"
        (built / "index.html").write_text("<!doctype html><title>built anew</title>")
        assert b"built anew" in web.ask("GET", "//").raw


def test_where_no_pages_were_built_a_page_says_what_to_do(tmp_path: Path) -> None:
    with WebHouse(tmp_path / "data", pages=tmp_path / "nothing") as web:
        page = web.ask("GET", "//")
        assert page.status == 503
        told = page.raw.decode()
        assert "make web" in told
        assert "网页尚未构建" in told
        assert "have not been built" in told
        assert "<script" not in told
        assert "style" not in told
        assert web.ask("GET", "/session", by="operator").status == 200  # the API works


def test_beyond_this_machine_only_by_tls() -> None:
    hosts, origins = names_of("127.0.0.1", 8480, [], tls=False)
    assert "127.0.0.1:8480" in hosts
    assert "http://localhost:8480" in origins
    for listen in ("0.0.0.0", "::", "10.0.0.5"):
        with pytest.raises(SettingsError):
            names_of(listen, 8480, ["http://desk.city.local"], tls=False)
        assert names_of(listen, 8480, [], tls=True)
    hosts, origins = names_of("10.0.0.5", 443, ["https://desk.city.local:443"], tls=True)
    assert {"10.0.0.5", "desk.city.local"} <= hosts
    assert "https://desk.city.local" in origins
    assert not [origin for origin in origins if origin.startswith("http:")]


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with WebHouse(tmp_path / "data", people=False) as web:
        other = WebServer(lambda *_: web.side.server._switch, port=web.port)
        with pytest.raises(Conflict, match=str(web.port)):
            other.start()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_by_tls_the_cookie_is_for_tls_and_browsers_are_told_to_stay(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    with WebHouse(tmp_path / "data", tls_cert_file=cert_file, tls_key_file=key_file) as web:
        assert web.side.server.url == f"https://127.0.0.1:{web.port}/"
        context = ssl.create_default_context(cafile=str(cert_file))
        connection = http.client.HTTPSConnection("localhost", web.port, timeout=30, context=context)
        body = b'{"user":"operator","password":"four words nobody guesses"}'
        headers = {"origin": f"https://localhost:{web.port}", "content-type": "application/json"}
        connection.request("POST", "/api/v1/session", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert "secure" in str(answer.headers["set-cookie"]).lower()
        assert "max-age" in str(answer.headers["strict-transport-security"])
        connection.close()


@pytest.mark.parametrize("missing", ["cert", "key", "broken"])
def test_tls_files_that_do_not_go_together_stop_the_start(tmp_path: Path, missing: str) -> None:
    cert_file, key_file = certificate(tmp_path)
    if missing == "broken":
        key_file.write_text("nothing")
    given = {"tls_cert_file": cert_file, "tls_key_file": key_file}
    if missing != "broken":
        given.pop(f"tls_{missing}_file")
    with pytest.raises(SettingsError):
        WebServer(lambda *_: None, port=free_port(), **given)  # type: ignore[arg-type]


def test_it_stops_while_pages_are_open(tmp_path: Path) -> None:
    with WebHouse(tmp_path / "data") as web:
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
        connection.request("GET", "/api/v1/events", headers={"cookie": web.cookie("operator")})
        stream = connection.getresponse()
        assert b"hello" in stream.readline()
    assert b'"why":"ending"' in stream.read()
    assert not web.side.server.running
    connection.close()
