"""A real nats-server on loopback, with every way to log in; and a node of code that answers."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.processes import wait_until
from tests.remote import free_port


class NatsServer:
    """One server; `config` is what stands in its configuration besides the port."""

    def __init__(self, directory: Path, config: str = "", port: int = 0) -> None:
        self.port = port or free_port()
        self._directory = directory
        self._config = directory / f"nats-{self.port}.conf"
        self._config.write_text(f"listen: 127.0.0.1:{self.port}\n{config}")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> NatsServer:
        program = Path(sys.executable).with_name("nats-server")
        log = open(self._directory / f"nats-{self.port}.log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(program), "-c", str(self._config)], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        wait_until(self._answers, 30, "nats-server answers")
        return self

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "nats-server ended"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                return sock.recv(5) == b"INFO "
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def __enter__(self) -> NatsServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class RawNats:
    """NATS as it is on the wire: another client than ours, for requests that ours never sends."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 10)
        self._received = b""
        self._line()
        self._send(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n')
        while self._line() != b"PONG\r\n":
            pass
        self._count = 0

    def _send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def ask(self, subject: str, payload: bytes, answers: int = 1, seconds: float = 10) -> list[Any]:
        """Return the JSON of the first answers; fewer when time is up."""
        return [json.loads(body) for body in self.ask_bytes(subject, payload, answers, seconds)]

    def ask_bytes(
        self, subject: str, payload: bytes, answers: int = 1, seconds: float = 10
    ) -> list[bytes]:
        """Return the first answers as they came."""
        self._count += 1
        inbox = f"_INBOX.raw.{os.getpid()}.{self._count}"
        self._send(f"SUB {inbox} {self._count}\r\n".encode())
        self.publish(subject, payload, inbox)
        found: list[bytes] = []
        self._sock.settimeout(seconds)
        while len(found) < answers:
            try:
                body = self._message()
            except TimeoutError:
                break
            if body is not None:
                found.append(body)
        return found

    def subscribe(self, subject: str) -> None:
        """Have what is sent to a subject come out of `receive`."""
        self._count += 1
        self._send(f"SUB {subject} {self._count}\r\nPING\r\n".encode())
        while self._line() != b"PONG\r\n":
            pass

    def receive(self) -> tuple[str, str, Any]:
        """Return the next message: subject, reply subject, JSON. Blocks; raises TimeoutError."""
        while True:
            words = self._line().decode().split()
            if words[:1] == ["PING"]:
                self._send(b"PONG\r\n")
            elif words[:1] == ["MSG"]:
                body = self._take(int(words[-1]) + 2)[:-2]
                return words[1], words[3] if len(words) == 5 else "", json.loads(body)
            elif words[:1] == ["HMSG"]:
                body = self._take(int(words[-1]) + 2)[int(words[-2]) : -2]
                return words[1], words[3] if len(words) == 6 else "", json.loads(body)

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        self._send(b"PUB %s %s %d\r\n%s\r\n" % (
            subject.encode(), reply.encode(), len(payload), payload,
        ))  # fmt: skip

    def _message(self) -> bytes | None:
        line = self._line()
        words = line.split()
        if words[:1] == [b"PING"]:
            self._send(b"PONG\r\n")
        if words[:1] == [b"HMSG"]:
            self._take(int(words[-1]) + 2)
            return b"null"
        if words[:1] != [b"MSG"]:
            return None
        return self._take(int(words[-1]) + 2)[:-2]

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            self._read()
        return self._take(self._received.index(b"\r\n") + 2)

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._read()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _read(self) -> None:
        data = self._sock.recv(1 << 16)
        assert data, "the NATS server has closed the connection"
        self._received += data

    def close(self) -> None:
        self._sock.close()


# JWT credentials, as NATS wants them: operator -> account -> user, each signed by the one above.


def credentials(directory: Path) -> tuple[str, str]:
    """Return a server's configuration for JWT logins, and the path of a user's credentials."""
    import nkeys

    def pair(kind: int) -> Any:
        return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))

    operator, account, user = (
        pair(kind)
        for kind in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER)
    )
    operator_jwt = _jwt(operator, operator, "O", {"type": "operator", "version": 2})
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1,
              "leaf": -1, "wildcards": True}  # fmt: skip
    account_jwt = _jwt(account, operator, "A", {"type": "account", "version": 2, "limits": limits})
    user_limits = {"subs": -1, "data": -1, "payload": -1}
    user_jwt = _jwt(user, account, "u", {"type": "user", "version": 2, **user_limits})
    name = account.public_key.decode()
    config = (
        f"operator: {operator_jwt}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {name}: {account_jwt} }}\n"
    )
    path = directory / "user.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    path.chmod(0o600)
    return config, str(path)


def _jwt(subject: Any, issuer: Any, name: str, nats: dict[str, Any]) -> str:
    import hashlib

    claims: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": issuer.public_key.decode(),
        "name": name,
        "sub": subject.public_key.decode(),
        "nats": nats,
    }
    digest = hashlib.new("sha512_256", json.dumps(claims).encode()).digest()
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _b64(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    body = f"{head}.{_b64(json.dumps(claims).encode())}"
    return f"{body}.{_b64(issuer.sign(body.encode()))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
