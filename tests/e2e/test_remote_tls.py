"""TLS in the node's own process, and what is left undone when it is half configured."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from pathlib import Path

import pytest
import websockets.sync.client as websockets_client

from codewire.client import Client
from codewire.errors import NodeRefused, NodeUnreachable
from tests.remote import RemoteHome


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that vouches for itself, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    paths = (str(directory / "cert.pem"), str(directory / "key.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, *names, "-out", paths[0], "-keyout", paths[1]],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return paths


@pytest.mark.smoke
def test_tls_in_process(runtime: str, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    home = RemoteHome(runtime)
    os.makedirs(home.data_dir, 0o700)
    config = Path(home.data_dir, "config.toml")
    config.write_text(f'[node]\ntls_cert = "{cert}"\ntls_key = "{key}"\n')
    try:
        home.start_node()
        url = f"https://localhost:{home.address.rsplit(':', 1)[1]}"
        client = Client(url, home.token, ca=cert)
        session = client.launch(["sh", "-c", "read x; seq 20000; echo $x"])
        size = client.send_input(session, b"end\n")
        assert size == 4
        text = "".join(chunk.text for chunk in client.watch(session))
        assert text.endswith("\r\n20000\r\nend\r\n")
        with websockets_client.connect(
            url.replace("https", "wss") + "/ws",
            additional_headers={"Authorization": f"Bearer {home.token}"},
            ssl=ssl.create_default_context(cafile=cert),
        ) as connection:
            connection.send('{"type":"ListSessions"}')
            assert json.loads(connection.recv(timeout=20))["type"] == "SessionList"
        with pytest.raises(NodeRefused, match="not trusted: self.signed"):
            Client(url, home.token).list_sessions()
        told: list[str] = []
        insecure = Client(url, home.token, insecure=True, notify=told.append)
        assert len(insecure.list_sessions()) == 1
        assert "is not checked" in told[0]
        for flags in (("--ca", cert), ("--insecure",)):
            agent = home.cw("mcp-server", "-s", url, "--token", home.token, *flags)
            assert agent.returncode == 0 and "not trusted" not in agent.stderr
        with pytest.raises(NodeUnreachable):
            Client(url.replace("https", "http"), home.token).list_sessions()
    finally:
        home.close()


@pytest.mark.parametrize("line", ['tls_key = "key.pem"', 'tls_cert = "missing.pem"'])
def test_half_configured_tls_never_listens_in_the_clear(runtime: str, line: str) -> None:
    home = RemoteHome(runtime)
    os.makedirs(home.data_dir, 0o700)
    Path(home.data_dir, "config.toml").write_text(f"[node]\n{line}\n")
    try:
        home.start_node()
        assert home.node_status().get("listen") is None
        assert "not reachable from other machines" in home.node_output()
        assert "tls_cert" in home.node_output()
    finally:
        home.close()
