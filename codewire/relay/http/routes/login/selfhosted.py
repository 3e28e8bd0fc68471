"""Logging a program in by a code that is confirmed in a browser, without a hosted platform.

The shapes are the platform's (spec/runtimes.md 10), so that `cw login --server RELAY` needs no
other.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from codewire.credentials.tokens import new_hex
from codewire.relay.http.answers import (
    JSON,
    PRIVATE,
    Refusal,
    html_answer,
    json_answer,
)
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import SESSION_PREFIX, bearer_token
from codewire.relay.http.inputs import Body
from codewire.relay.http.limits import CONFIRM, JOIN, POLL
from codewire.relay.http.routes.login.sessions import (
    NEXT_COOKIE,
    STATE_SECONDS,
    cookie,
    new_session,
)
from codewire.relay.http.shapes import TEXT, WHOLE, shape
from codewire.relay.pages.device import DeviceForm, confirmed_page, device_page
from codewire.relay.store import logins, people
from codewire.wire.timestamps import SECOND

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.wire.http import Answer

EXPIRES_SECONDS, INTERVAL_SECONDS = 300, 5
# No vowels, so no words; no letters that are taken for others.
CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
CODE_HALF = 4
MAX_FORM = 8192
MAX_FIELDS = 16
SIGN_IN = {"github": "/auth/github", "oidc": "/auth/oidc"}


def begin(call: Call, store: Database) -> Any:
    """Give a program its code."""
    code, device = new_user_code(), new_hex()
    expires_at = call.now + EXPIRES_SECONDS * SECOND
    store.write(lambda tx: logins.begin(tx, device, code, expires_at))
    page = f"{call.service.settings.base_url}/device"
    return {
        "device_code": device,
        "user_code": code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={code}",
        "expires_in": EXPIRES_SECONDS,
        "interval": INTERVAL_SECONDS,
    }


def new_user_code() -> str:
    """Return a code that is easily typed."""
    letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(2 * CODE_HALF))
    return f"{letters[:CODE_HALF]}-{letters[CODE_HALF:]}"


def read_user_code(text: str) -> str:
    """Return a code as it was given out, however it was typed; "" for what is none."""
    letters = [c for c in text.upper() if c not in " -"]
    if len(letters) != 2 * CODE_HALF or not set(CODE_LETTERS).issuperset(letters):
        return ""
    return f"{''.join(letters[:CODE_HALF])}-{''.join(letters[CODE_HALF:])}"


def hand_out(call: Call, store: Database) -> Any:
    """Give a program its session once its code was confirmed."""
    device = call.given.needed("device_code")

    def take(tx: Tx) -> tuple[logins.Waiting | None, str]:
        found = logins.take(tx, device, call.now)
        return found, new_session(tx, call, found.subject) if found and found.subject else ""

    found, token = store.write(take)
    if found is None:
        raise Refusal(410, "device code expired")
    if found.is_denied:
        raise Refusal(403, "authorization denied")
    if not token:
        answer = json_answer({"status": "pending"})
        return answer._replace(status=202, fields=(("Content-Type", JSON), *PRIVATE))
    login = store.read(lambda tx: people.session(tx, token, call.now))
    return {"session_token": token, "user": _shown(found.subject, login.username if login else "")}


def get_session(call: Call, store: Database) -> Any:
    """Say whose session a token is."""
    return {"user": _shown(call.user.subject, call.user.username)}


def sign_out(call: Call, store: Database) -> Any:
    """End a program's session. One that has ended is as good."""
    token = bearer_token(call.request)
    if token.startswith(SESSION_PREFIX):
        store.write(lambda tx: people.session_delete(tx, token))
    return {"success": True}


def _shown(subject: str, username: str) -> dict[str, str]:
    name = username or subject
    return {"id": subject, "email": name, "name": name}


# In the browser


def show_page(call: Call, store: Database) -> Answer:
    """Ask for a code and whether to confirm it."""
    code = read_user_code(call.query.text("user_code"))
    is_known = call.find_user()
    form = DeviceForm(code, call.user.username or call.user.subject if is_known else "")
    page = html_answer(device_page(form, SIGN_IN.get(call.service.settings.auth_mode, "")))
    if is_known or not code:
        return page
    # Where to go on once signed in.
    back = cookie(call, NEXT_COOKIE, code, STATE_SECONDS)
    return page._replace(fields=(*page.fields, ("Set-Cookie", back)))


def confirm(call: Call, store: Database) -> Answer:
    """Confirm or deny a code in the name of who is signed in, or has the admin's token."""
    form = _read_form(call.request.body)
    code, subject = read_user_code(form.get("user_code", "")), _who(call, store, form)
    is_denied = form.get("decision") == "deny"
    if not subject:
        page = device_page(DeviceForm(code, "", "That is not the admin's token."), "")
        return html_answer(page)._replace(status=401)
    is_done = bool(code) and store.write(
        lambda tx: logins.decide(tx, code, subject, call.now, is_denied=is_denied)
    )
    if not is_done:
        form_again = DeviceForm("", subject, "No program waits with that code: is it still right?")
        sign_in = SIGN_IN.get(call.service.settings.auth_mode, "")
        return html_answer(device_page(form_again, sign_in))._replace(status=400)
    return html_answer(confirmed_page(is_denied=is_denied))


def _who(call: Call, store: Database, form: dict[str, str]) -> str:
    """Return who confirms: a session by its cookie, from our own page; or the admin's token."""
    if call.find_user():
        return call.user.subject if not call.user.is_admin else _admin(call, store)
    if call.service.identities.is_admin_token(form.get("token", "").strip()):
        return _admin(call, store)
    return ""


def _admin(call: Call, store: Database) -> str:
    return store.write(lambda tx: people.upsert_admin(tx, call.now))


def _read_form(data: bytes) -> dict[str, str]:
    try:
        found = parse_qs(data.decode(), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        # No form of ours: the page says what is missing.
        return {}
    return {name: values[0] for name, values in found.items()}


USER = shape(id=TEXT, email=TEXT, name=TEXT)
ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/auth/device/authorize",
        begin,
        Who.PUBLIC,
        "Begin to log a program in",
        raw_limit=MAX_FORM,
        answers=shape(
            device_code=TEXT,
            user_code=TEXT,
            verification_uri=TEXT,
            verification_uri_complete=TEXT,
            expires_in=WHOLE,
            interval=WHOLE,
        ),
        limit=JOIN,
    ),
    Endpoint(
        "POST",
        "/api/auth/device/token",
        hand_out,
        Who.PUBLIC,
        "A program's session, once its code is confirmed",
        body=Body(device_code="text"),
        answers=shape({"session_token": TEXT, "user": USER, "status": TEXT}),
        errors=(403, 410),
        also=(202,),
        limit=POLL,
    ),
    Endpoint(
        "GET",
        "/api/auth/get-session",
        get_session,
        Who.USER,
        "Whose session a token is",
        answers=shape(user=USER),
    ),
    Endpoint(
        "POST",
        "/api/auth/sign-out",
        sign_out,
        Who.PUBLIC,
        "End a program's session",
        raw_limit=MAX_FORM,
        answers={"type": "object"},
    ),
    Endpoint(
        "GET",
        "/device",
        show_page,
        Who.PUBLIC,
        "Where a code is confirmed",
        ("user_code",),
        kind="text/html",
    ),
    Endpoint(
        "POST",
        "/device",
        confirm,
        Who.PUBLIC,
        "Confirm a code",
        raw_limit=MAX_FORM,
        kind="text/html",
        errors=(403,),
        also=(400, 401),
        limit=CONFIRM,
    ),
]
