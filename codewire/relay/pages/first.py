"""The relay's first page: how it is, signing in, and making the GitHub App once."""

from __future__ import annotations

from html import escape

from codewire.relay.pages.page import page


def status_page(base_url: str, login_path: str, username: str, owner: str = "") -> str:
    """Return the page of a relay that is set up; `username` is who is logged in, "" for nobody."""
    lines = [f"<p>This is the relay at <code>{escape(base_url)}</code>. It is up.</p>"]
    if owner:
        lines.append(f"<p>Its GitHub App belongs to <b>{escape(owner)}</b>.</p>")
    if username:
        lines.append(f"<p>You are signed in as <b>{escape(username)}</b>.</p>")
        lines.append('<form method="post" action="/auth/logout"><button>Sign out</button></form>')
    else:
        lines.append(f'<p><a class="button" href="{escape(login_path)}">Sign in</a></p>')
    return page("CodeWire Relay", "\n".join(lines))


def setup_code_page(*, is_wrong: bool) -> str:
    """Return the page that asks who sets the relay up for the code in its log."""
    wrong = "<p><b>That is not the code.</b></p>" if is_wrong else ""
    return page(
        "Set up CodeWire Relay",
        f"""{wrong}<p>This relay has no GitHub App yet. Whoever runs it finds a setup code in its
log.</p>
<form method="get" action="/"><label>Setup code <input name="setup_code" autocomplete="off"
required autofocus></label> <button>Continue</button></form>""",
    )


def setup_page(action: str, manifest: str) -> str:
    """Return the page whose button has GitHub make the app."""
    return page(
        "Set up CodeWire Relay",
        f"""<p>GitHub makes an app for this relay that may only see who logs in.</p>
<form method="post" action="{escape(action)}">
<input type="hidden" name="manifest" value="{escape(manifest)}">
<button>Create the GitHub App</button></form>""",
    )
