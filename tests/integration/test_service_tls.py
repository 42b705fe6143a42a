"""HTTPS and the stream over it, with certificates made here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
import trustme

from funcx_core.errors import ConfigError
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.service.config import ListenConfig
from funcx_core.service.tls import tls_context
from tests.support.fabric import Fabric, eventually


def write_certificate(authority: trustme.CA, folder: Path, name: str = "localhost") -> list[str]:
    made = authority.issue_cert(name)
    made.cert_chain_pems[0].write_to_path(folder / "chain.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return [f"--certificate={folder / 'chain.pem'}", f"--key={folder / 'key.pem'}", f"--public-name={name}"]


def test_a_task_runs_over_https_and_an_unknown_authority_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = write_certificate(trustme.CA(), tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with Fabric(tmp_path / "home", service_flags=tuple(flags), workers=1) as fabric:
        assert fabric.address.startswith("https://localhost:")
        client = FuncXClient(funcx_service_address=fabric.address, token=fabric.token)
        assert [row["state"] for row in client.get_endpoints()] == ["online"]
        with FuncXExecutor(fabric.endpoint_id, funcx_client=client) as executor:
            assert executor.submit(pow, 2, 5).result(30) == 32

        in_plain = fabric.address.replace("https:", "http:")
        with pytest.raises(ConfigError, match=f"speaks HTTPS. Use {fabric.address}."):
            FuncXClient(funcx_service_address=in_plain, token=fabric.token).get_endpoints()

        monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
        with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
            FuncXClient(funcx_service_address=fabric.address, token=fabric.token).get_endpoints()

        write_certificate(trustme.CA(), tmp_path)  # another authority, another key
        assert fabric.service is not None
        fabric.service.send_signal(signal.SIGHUP)
        trusting_the_new_one = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        eventually(lambda: answers(fabric.address, trusting_the_new_one), "the renewed certificate is used")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


def test_a_service_without_https_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcx_core.sdk.web._CONNECT_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        threading.Thread(target=waits_for_the_end_of_headers, args=(listening,), daemon=True).start()
        with pytest.raises(ConfigError, match=f"speaks plain HTTP, not HTTPS. Use http://{place}/v2."):
            FuncXClient(funcx_service_address=f"https://{place}/v2", token="t").get_endpoints()


def waits_for_the_end_of_headers(listening: socket.socket) -> None:
    kept = []
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        kept.append(connection)
        if connection.recv(4096).endswith(b"\r\n\r\n"):
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def answers(address: str, tls: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", context=tls) as reply:
            return bool(json.load(reply)["status"] == "ok")
    except OSError:
        return False


def test_a_key_of_another_certificate_is_refused_in_words(tmp_path: Path) -> None:
    write_certificate(trustme.CA(), tmp_path)
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "key.pem")
    with pytest.raises(ConfigError, match="are not a certificate and its key"):
        tls_context(ListenConfig(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem"))
    with pytest.raises(ConfigError, match="cannot be read"):
        tls_context(ListenConfig(certificate=tmp_path / "none.pem", key=tmp_path / "key.pem"))


async def test_it_listens_beyond_loopback_only_when_told_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "funcx_core.service.cli", "--host=0.0.0.0", "--port=0"]
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "--insecure-listen" in refused.stderr
