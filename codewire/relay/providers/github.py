"""GitHub as far as a login needs it (spec/relay.md 4)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from codewire.relay.providers.asking import ProviderError, ask

WEB, API = "https://github.com", "https://api.github.com"
MAX_APP_NAME = 34
APP_FIELDS = ("client_id", "client_secret", "pem", "webhook_secret")


class GitHubUser(NamedTuple):
    """Who logged in."""

    id: int
    login: str
    avatar_url: str


class GitHub:
    """GitHub, or an enterprise's own: where its pages and its API are."""

    def __init__(self, web: str = WEB, api: str = API) -> None:
        self.web = web.rstrip("/")
        self.api = api.rstrip("/")

    def authorize_url(self, client_id: str, state: str, redirect: str) -> str:
        """Return where a browser logs in."""
        query = {"client_id": client_id, "redirect_uri": redirect, "state": state}
        return f"{self.web}/login/oauth/authorize?{urlencode(query)}"

    def exchange(self, app: dict[str, Any], code: str) -> str:
        """Return the access token for a code. Raises ProviderError."""
        form = {
            "client_id": str(app.get("client_id", "")),
            "client_secret": str(app.get("client_secret", "")),
            "code": code,
        }
        token = ask(f"{self.web}/login/oauth/access_token", form=form).check().text("access_token")
        if not token:
            raise ProviderError("GitHub sent no access token")
        return token

    def user(self, token: str) -> GitHubUser:
        """Return whose token it is. Raises ProviderError."""
        reply = ask(f"{self.api}/user", bearer=token).check()
        identity, login = reply.whole("id", 0), reply.text("login")
        if not identity or not login:
            raise ProviderError("GitHub did not say who this is")
        return GitHubUser(identity, login, reply.text("avatar_url"))

    def manifest_url(self, state: str) -> str:
        """Return where the form goes that makes an app."""
        return f"{self.web}/settings/apps/new?{urlencode({'state': state})}"

    def convert(self, code: str) -> dict[str, Any]:
        """Return the app that a manifest became. Raises ProviderError."""
        url = f"{self.api}/app-manifests/{quote(code, safe='')}/conversions"
        reply = ask(url, method="POST").check()
        app: dict[str, Any] = {name: reply.text(name) for name in APP_FIELDS}
        if not app["client_id"] or not app["client_secret"]:
            raise ProviderError("GitHub sent no client id and secret")
        owner = reply.value.get("owner")
        app["app_id"] = reply.whole("id", 0)
        app["owner"] = str(owner.get("login", "")) if isinstance(owner, dict) else ""
        return app


def app_manifest(base_url: str) -> str:
    """Return what GitHub is asked to make, as JSON."""
    host = urlsplit(base_url).hostname or ""
    return json.dumps(
        {
            "name": f"Codewire Relay ({host})"[:MAX_APP_NAME],
            "url": base_url,
            "redirect_url": f"{base_url}/auth/github/manifest/callback",
            "callback_urls": [f"{base_url}/auth/github/callback"],
            "public": False,
            "default_permissions": {"metadata": "read"},
        }
    )
