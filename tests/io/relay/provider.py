"""A stand-in for GitHub, an OpenID provider and the platform, on a port of this machine."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import parse_qs

from codewire.io.wait import spawn
from codewire.web.request import Request
from codewire.web.router import Router
from codewire.web.server import Server
from codewire.wire.http import Answer

GITHUB_USER = {"id": 42, "login": "Ann", "avatar_url": "https://a/ann.png"}
OIDC_USER = {"sub": "s1", "preferred_username": "ann", "groups": ["staff"], "picture": ""}
CODE = "good-code"


class Provider:
    """What it answers may be changed; `asked` is every request: path and form."""

    def __init__(self) -> None:
        self.github_user: dict[str, Any] = dict(GITHUB_USER)
        self.oidc_user: dict[str, Any] = dict(OIDC_USER)
        self.platform_user: dict[str, Any] = {"id": "p1", "email": "ann@example.com"}
        self.device_error = "authorization_pending"
        self.is_down = False
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._codes = {CODE}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = Server(self._listener, self._router())
        spawn(self._server.run)

    def close(self) -> None:
        self._server.stop()
        self._listener.close()

    def _router(self) -> Router:
        router = Router()
        for method, path, answer in (
            ("POST", "/login/oauth/access_token", self._token),
            ("GET", "/user", lambda form: self.github_user),
            ("POST", "/app-manifests/{code}/conversions", lambda form: APP),
            ("GET", "/.well-known/openid-configuration", lambda form: self._configuration()),
            ("POST", "/token", self._token),
            ("GET", "/userinfo", lambda form: self.oidc_user),
            ("POST", "/device", lambda form: DEVICE),
            ("GET", "/api/auth/get-session", lambda form: {"user": self.platform_user}),
        ):
            router.add(method, path, self._handler(answer))
        return router

    def _handler(self, answer: Any) -> Any:
        def handle(request: Request) -> Answer:
            form = {k: v[0] for k, v in parse_qs(request.body.decode()).items()}
            self.asked.append((request.head.path, form))
            if self.is_down:
                return Answer(500, b"oops")
            value = answer(form)
            is_token = request.field("Authorization") in ("", "Bearer access")
            if not is_token:
                return Answer(401, b"{}")
            fields = (("Content-Type", "application/json"),)
            return Answer(400 if "error" in value else 200, json.dumps(value).encode(), fields)

        return handle

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        if "device_code" in form:
            return {"error": self.device_error} if self.device_error else {"access_token": "access"}
        if form.get("code") not in self._codes:
            return {"error": "bad_verification_code", "error_description": "The code is wrong"}
        self._codes.discard(form["code"])
        return {"access_token": "access", "token_type": "bearer"}

    def _configuration(self) -> dict[str, str]:
        return {
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "device_authorization_endpoint": f"{self.url}/device",
        }


APP = {
    "id": 7,
    "client_id": "Iv1.x",
    "client_secret": "shh",
    "pem": "PEM",
    "webhook_secret": "w",
    "owner": {"login": "acme"},
}
DEVICE = {
    "device_code": "dev-code",
    "user_code": "AB-CD",
    "verification_uri": "https://id.example/device",
    "interval": 0,
}
