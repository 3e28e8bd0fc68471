"""An OpenID provider as far as a login needs it, and the hosted platform (spec/relay.md 5)."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple
from urllib.parse import urlencode

from codewire.relay.providers.asking import ProviderError, Reply, ask

SCOPE = "openid profile email groups"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MAX_GROUPS = 1000


class OidcUser(NamedTuple):
    """Who logged in. `groups` is None where the provider does not say."""

    sub: str
    username: str
    avatar_url: str
    groups: tuple[str, ...] | None


class Oidc:
    """One provider. Its addresses are looked up when they are first needed."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self.issuer = issuer.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._lock = threading.Lock()
        self._found: dict[str, Any] = {}

    def discover(self) -> dict[str, Any]:
        """Return the provider's addresses. Raises ProviderError; the next call tries again."""
        with self._lock:
            found = self._found
        if found:
            return found
        reply = ask(f"{self.issuer}/.well-known/openid-configuration").check()
        for name in ("authorization_endpoint", "token_endpoint"):
            if not reply.text(name).startswith(("http://", "https://")):
                raise ProviderError(f"its configuration has no {name}")
        with self._lock:
            self._found = reply.value
        return reply.value

    def _endpoint(self, name: str) -> str:
        url = self.discover().get(name)
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ProviderError(f"the provider has no {name}")
        return url

    def authorize_url(self, state: str, redirect: str) -> str:
        """Return where a browser logs in. Raises ProviderError."""
        url = self._endpoint("authorization_endpoint")
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect,
            "scope": SCOPE,
            "state": state,
        }
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"

    def exchange(self, code: str, redirect: str) -> str:
        """Return the access token for a code. Raises ProviderError."""
        reply = self._token(grant_type="authorization_code", code=code, redirect_uri=redirect)
        token = reply.check().text("access_token")
        if not token:
            raise ProviderError("the provider sent no access token")
        return token

    def user(self, token: str) -> OidcUser:
        """Return whose token it is. Raises ProviderError."""
        reply = ask(self._endpoint("userinfo_endpoint"), bearer=token).check()
        sub = reply.text("sub")
        if not sub or len(sub) > 255 or not sub.isprintable():
            raise ProviderError("the provider did not say who this is")
        name = reply.text("preferred_username") or reply.text("name") or sub
        return OidcUser(sub, name, reply.text("picture"), _groups(reply.value))

    def begin_device(self) -> Reply:
        """Begin a login on another device. Raises ProviderError."""
        form = {"client_id": self._client_id, "scope": SCOPE}
        if self._client_secret:
            form["client_secret"] = self._client_secret
        reply = ask(self._endpoint("device_authorization_endpoint"), form=form).check()
        if not reply.text("device_code") or not reply.text("user_code"):
            raise ProviderError("the provider sent no device code")
        return reply

    def poll_device(self, device_code: str) -> Reply:
        """Return how such a login stands: `access_token`, or `error` (RFC 8628 3.5)."""
        return self._token(grant_type=DEVICE_GRANT, device_code=device_code)

    def platform_user(self, token: str) -> OidcUser | None:
        """Return whose session of the platform a token is, None for nobody's."""
        reply = ask(f"{self.issuer}/api/auth/get-session", bearer=token)
        user = reply.value.get("user")
        if reply.status != 200 or not isinstance(user, dict):
            return None
        identity = user.get("id")
        if not isinstance(identity, str) or not identity or not identity.isprintable():
            return None
        name = user.get("email") or user.get("name") or identity
        groups = _groups(user)
        return OidcUser(f"user:{identity}", str(name), "", groups)

    def _token(self, **form: str) -> Reply:
        form["client_id"] = self._client_id
        if self._client_secret:
            form["client_secret"] = self._client_secret
        return ask(self._endpoint("token_endpoint"), form=form)


def _groups(value: dict[str, Any]) -> tuple[str, ...] | None:
    found = value.get("groups")
    if not isinstance(found, list):
        return None
    return tuple(str(group) for group in found[:MAX_GROUPS])


def is_allowed(user: OidcUser, allowed: tuple[str, ...]) -> bool:
    """Say whether a user is in one of the groups; without groups everybody is."""
    return not allowed or bool(set(allowed) & set(user.groups or ()))
