"""What logins have in common: states bound to the browser, sessions, cookies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import equal, new_hex, new_word
from codewire.relay.http.answers import PRIVATE, Refusal, bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import (
    COOKIE,
    SESSION_PREFIX,
    bearer_token,
    cookie_token,
)
from codewire.relay.store import people
from codewire.wire.http import Answer, plain
from codewire.wire.timestamps import SECOND, format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

STATE_SECONDS = 600
SESSION_SECONDS = 30 * 86400
STATE_COOKIE = "cw_state"
# The code somebody was about to confirm (selfhosted.py).
NEXT_COOKIE = "cw_next"
MAX_CODE = 16
MAX_SHOWN = 256
NOBODY = plain(401, '{"error":"unauthorized"}')


def redirect(location: str, *cookies: str) -> Answer:
    """Send a browser elsewhere (302), with cookies."""
    fields = (("Location", location), *(("Set-Cookie", cookie) for cookie in cookies), *PRIVATE)
    return Answer(302, b"", fields)


def begin_state(call: Call, store: Database) -> tuple[str, str]:
    """Return a new state, and the cookie that binds it to this browser."""
    state = new_hex(16)
    expires_at = call.now + STATE_SECONDS * SECOND
    store.write(lambda tx: people.state_put(tx, state, expires_at, call.now))
    return state, cookie(call, STATE_COOKIE, state, STATE_SECONDS)


def take_state(call: Call, store: Database) -> None:
    """Use up the state a provider brought back. Raises Refusal (400)."""
    state = call.query.text("state")
    if not state:
        raise bad_request("missing state parameter")
    # Whoever was led here by another's link did not begin this.
    is_ours = equal(cookie_token(call.request, STATE_COOKIE), state)
    if not is_ours or not store.write(lambda tx: people.state_take(tx, state, call.now)):
        raise bad_request("invalid or expired state parameter")


def needed_code(call: Call) -> str:
    """Return the code a provider brought. Raises Refusal (400)."""
    code = call.query.text("code")
    if not code:
        raise bad_request("missing code parameter")
    return code


def new_session(tx: Tx, call: Call, subject: str) -> str:
    """Begin a session of somebody who was upserted; return its token."""
    token = SESSION_PREFIX + new_word(32)
    expires_at = call.now + SESSION_SECONDS * SECOND
    people.session_create(tx, token, subject=subject, expires_at=expires_at, now=call.now)
    return token


def logged_in(call: Call, token: str) -> Answer:
    """Send a browser on, logged in: to the first page, or to confirm the code it came with."""
    code = cookie_token(call.request, NEXT_COOKIE)
    is_code = len(code) < MAX_CODE and code.replace("-", "").isalnum() and code.isascii()
    return redirect(
        f"/device?user_code={code}" if is_code else "/",
        cookie(call, COOKIE, token, SESSION_SECONDS),
        cookie(call, STATE_COOKIE, "", 0),
        cookie(call, NEXT_COOKIE, "", 0),
    )


def cookie(call: Call, name: str, value: str, seconds: int) -> str:
    """Return a Set-Cookie field that scripts and other sites' requests do not get."""
    secure = "; Secure" if call.service.settings.is_encrypted else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def shown_user(text: str) -> str:
    """Return a provider's text for the store: without what no column can hold."""
    return "".join(c for c in text if c.isprintable())[:MAX_SHOWN]


def find_session(call: Call, store: Database) -> people.Login | None:
    """Return the session that asks, by Bearer or cookie."""
    for token in (bearer_token(call.request), cookie_token(call.request)):
        if token.startswith(SESSION_PREFIX):
            login = store.read(partial(people.session, token=token, now=call.now))
            if login is not None:
                return login
    return None


def show_session(call: Call, store: Database) -> Any:
    """Say whose session it is."""
    login = find_session(call, store)
    if login is None:
        return NOBODY
    who = {"sub": login.sub} if login.github_id is None else {"github_id": login.github_id}
    return {
        **who,
        "username": login.username,
        "avatar_url": login.avatar_url,
        "expires_at": format_nanos(login.expires_at),
    }


def log_out(call: Call, store: Database) -> Answer:
    """End the session of a browser, which asks from our own page."""
    call.find_user()
    token = cookie_token(call.request)
    store.write(lambda tx: people.session_delete(tx, token))
    return redirect("/", cookie(call, COOKIE, "", 0))


def provider_failed(what: str, error: Exception) -> Refusal:
    """Return a 502."""
    return Refusal(502, f"{what}: {error}")


ENDPOINTS = [
    Endpoint(
        "GET",
        "/auth/session",
        show_session,
        Who.PUBLIC,
        "Whose session it is",
        answers={"type": "object"},
        errors=(401,),
    ),
    Endpoint("POST", "/auth/logout", log_out, Who.PUBLIC, "Log out", status=302, errors=(403,)),
]
