"""Logging in to a server and out again: a platform, or a relay that does it itself.

spec/runtimes.md 8.2 and 10. Every function blocks for one exchange and raises RelayError.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import RelayError, RelayRefused
from codewire.network.answers import Members
from codewire.network.caller import API, Caller
from codewire.network.exchange import Request

if TYPE_CHECKING:
    from codewire.network.exchange import Server

AUTH = "/api/auth"
# Where a server says nothing of use (RFC 8628 3.2), and what is believed of what it says.
EXPIRES_SECONDS, INTERVAL_SECONDS = 300, 5
MAX_EXPIRES_SECONDS, MAX_INTERVAL_SECONDS = 3600, 60
UNKNOWN = (404, 405, 501)
PENDING, SLOW_DOWN = "pending", "slow_down"


class User(NamedTuple):
    """Somebody with an account; members are "" where the server does not say."""

    id: str = ""
    email: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """Return what to call them."""
        return self.name or self.email or self.id or "unknown"


class Device(NamedTuple):
    """A login that waits for somebody to confirm its code in a browser. Times are seconds."""

    code: str
    user_code: str
    url: str
    expires: int
    interval: int


class Session(NamedTuple):
    """A session; `second_factor` is what must be completed before there is a token."""

    token: str = ""
    user: User = User()
    second_factor: str = ""


def begin_device(server: Server) -> Device:
    """Begin a login that is confirmed in a browser."""
    found = _members(Caller(server).json_of(Request("POST", f"{AUTH}/device/authorize", b"")))
    device = Device(
        found.text("device_code"),
        found.text("user_code"),
        found.text("verification_uri_complete") or found.text("verification_uri"),
        min(found.number("expires_in") or EXPIRES_SECONDS, MAX_EXPIRES_SECONDS),
        min(found.number("interval") or INTERVAL_SECONDS, MAX_INTERVAL_SECONDS),
    )
    if not device.code or not device.url:
        raise RelayError(f"{server.url} cannot log anybody in: its answer has no code")
    return device


def poll_device(server: Server, device: Device) -> Session | str:
    """Return the session, or PENDING or SLOW_DOWN. RelayRefused: 403 denied, 410 expired."""
    found = _members(Caller(server).post(f"{AUTH}/device/token", {"device_code": device.code}))
    token = found.text("session_token")
    if token:
        return Session(token, _user(found.object("user")))
    return SLOW_DOWN if found.text("status") == SLOW_DOWN else PENDING


def sign_in(server: Server, email: str, password: str) -> Session:
    """Log in by mail address and password."""
    return _session(server, f"{AUTH}/sign-in", {"email": email, "password": password})


def complete(server: Server, begun: Session, code: str) -> Session:
    """Complete a login by the code of a second factor."""
    value = {"code": code, "token": begun.second_factor}
    return _session(server, f"{AUTH}/two-factor/validate", value)


def whose(server: Server, token: str) -> User:
    """Return whose token this is; RelayRefused (401) for nobody's.

    Asks an older relay, too, which says no more than that it is good.
    """
    caller = Caller(server, token)
    try:
        answer = caller.get(f"{AUTH}/get-session")
    except RelayRefused as error:
        if error.status not in UNKNOWN:
            raise
        found = _members(caller.get(f"{API}/auth/validate"))
        return User(found.text("subject"), "", found.text("username"))
    user = _user(_members(answer).object("user")) if answer is not None else User()
    if user == User():
        # Some platforms say so of a token that they do not know.
        raise RelayRefused(f"{server.url} does not accept this token", 401)
    return user


def sign_out(server: Server, token: str) -> None:
    """End a session."""
    Caller(server, token).ask(Request("POST", f"{AUTH}/sign-out", b""))


def _session(server: Server, path: str, value: dict[str, str]) -> Session:
    try:
        found = _members(Caller(server).post(path, value))
    except RelayRefused as error:
        if error.status in UNKNOWN:
            raise RelayError(
                f"{server.url} has no logins by password; log in without --password"
            ) from error
        raise RelayRefused(f"login failed: {_detail(error)}", error.status, error.text) from error
    if found.truth("twoFactorRequired"):
        return Session(second_factor=found.text("twoFactorToken"))
    token = found.object("session").text("token")
    if not token:
        raise RelayError(f"{server.url} cannot log anybody in: its answer has no session")
    return Session(token, _user(found.object("user")))


def _detail(error: RelayRefused) -> str:
    """Return what a platform says in an error's body: {"title", "detail"?}."""
    if error.status == 401:
        return "wrong mail address, password or code"
    try:
        found = json.loads(error.text)
        return str(found.get("detail") or found["title"])
    except (ValueError, LookupError, AttributeError, RecursionError):
        return str(error)


def _members(answer: Any) -> Members:
    return Members({} if answer is None else answer)


def _user(found: Members) -> User:
    return User(found.text("id"), found.text("email"), found.text("name"))
