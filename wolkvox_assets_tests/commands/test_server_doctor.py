"""What `doctor` says of a server's name and certificate, against servers that have one of their own making."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from wolkvox_assets.commands.server_doctor import finding


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For `localhost`, signed by itself."""
    file = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", file, "-out", tmp_path / "c"),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (tmp_path / "c").read_text())
    return file


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_certificate_that_is_trusted(port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    fine, said = finding(f"https://localhost:{port}")
    assert fine
    assert "valid until" in said


def test_one_that_is_not(port: int) -> None:
    fine, said = finding(f"https://localhost:{port}")
    assert not fine
    assert "self-signed certificate" in said
    assert "No token was sent" in said


def test_one_for_another_name(port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    fine, said = finding(f"https://127.0.0.1:{port}")
    assert not fine
    assert "IP address mismatch" in said


@pytest.mark.parametrize(
    ("address", "fine", "words"),
    [
        ("http://127.0.0.1:8807", True, "fine on this machine"),
        ("http://[::1]:8807", True, "fine on this machine"),
        ("http://wv0013.example.com", False, "anyone on the way can read the token"),
        ("https://wv0013.invalid", False, "no server has this name"),
        ("https://127.0.0.1:9", False, "cannot be reached: Connection refused"),
    ],
)
def test_without_a_certificate(address: str, fine: bool, words: str) -> None:
    found, said = finding(address)
    assert found == fine
    assert words in said


def test_by_a_proxy_it_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert finding("https://wv0013.invalid") == (
        True,
        "https://wv0013.invalid is reached through the proxy that the environment names; not checked",
    )
