"""Login with GitHub, and the app that is made for it once (spec/relay.md 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import equal
from codewire.relay.http.answers import Refusal, html_answer
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.routes.login.sessions import (
    begin_state,
    find_session,
    logged_in,
    needed_code,
    new_session,
    provider_failed,
    redirect,
    shown_user,
    take_state,
)
from codewire.relay.pages.first import setup_code_page, setup_page, status_page
from codewire.relay.providers.asking import ProviderError
from codewire.relay.providers.github import app_manifest
from codewire.relay.store import people

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

CALLBACK = "/auth/github/callback"


def show_first(call: Call, store: Database) -> Any:
    """Show how the relay is; without an app, how to make one, to who knows the setup code."""
    settings = call.service.settings
    app = store.read(people.github_app)
    if app is not None:
        login = find_session(call, store)
        name = login.username if login else ""
        owner = str(app.get("owner", ""))
        return html_answer(status_page(settings.base_url, "/auth/github", name, owner))
    given = call.query.text("setup_code")
    if not (given and equal(given, call.service.setup_code)):
        return html_answer(setup_code_page(is_wrong=bool(given)))
    state, cookie = begin_state(call, store)
    manifest = app_manifest(settings.base_url)
    page = html_answer(setup_page(call.service.github.manifest_url(state), manifest))
    return page._replace(fields=(*page.fields, ("Set-Cookie", cookie)))


def keep_app(call: Call, store: Database) -> Any:
    """Keep the app that GitHub has made."""
    code = needed_code(call)
    take_state(call, store)
    if store.read(people.github_app) is not None:
        raise Refusal(403, "a GitHub App is configured already")
    try:
        app = call.service.github.convert(code)
    except ProviderError as error:
        raise provider_failed("creating the GitHub App failed", error) from error
    store.write(lambda tx: people.github_app_put(tx, app))
    return redirect("/?setup=success")


def begin(call: Call, store: Database) -> Any:
    """Send a browser to GitHub."""
    app = store.read(people.github_app)
    if app is None:
        raise Refusal(412, "GitHub App not configured. Visit / to set up.")
    state, cookie = begin_state(call, store)
    back = call.service.settings.base_url + CALLBACK
    return redirect(call.service.github.authorize_url(str(app["client_id"]), state, back), cookie)


def finish(call: Call, store: Database) -> Any:
    """Take a browser back from GitHub."""
    take_state(call, store)
    code = needed_code(call)
    app = store.read(people.github_app)
    if app is None:
        raise Refusal(412, "GitHub App not configured. Visit / to set up.")
    github = call.service.github
    try:
        token = github.exchange(app, code)
    except ProviderError as error:
        raise provider_failed("token exchange failed", error) from error
    try:
        user = github.user(token)
    except ProviderError as error:
        raise provider_failed("fetching user failed", error) from error
    allowed = {name.lower() for name in call.service.settings.allowed_users}
    if allowed and user.login.lower() not in allowed:
        raise Refusal(403, "access denied: user not in allowed list")

    def log_in(tx: Tx) -> str:
        login, avatar = shown_user(user.login), shown_user(user.avatar_url)
        people.upsert_github(tx, user.id, login, avatar, call.now)
        return new_session(tx, call, f"github:{user.id}")

    return logged_in(call, store.write(log_in))


ENDPOINTS = [
    Endpoint(
        "GET", "/", show_first, Who.PUBLIC, "How the relay is", ("setup_code",), kind="text/html"
    ),
    Endpoint(
        "GET",
        "/auth/github/manifest/callback",
        keep_app,
        Who.PUBLIC,
        "Keep a new GitHub App",
        ("code", "state"),
        status=302,
        errors=(403, 502),
    ),
    Endpoint(
        "GET", "/auth/github", begin, Who.PUBLIC, "Log in with GitHub", status=302, errors=(412,)
    ),
    Endpoint(
        "GET",
        CALLBACK,
        finish,
        Who.PUBLIC,
        "Back from GitHub",
        ("code", "state"),
        status=302,
        errors=(403, 412, 502),
    ),
]
