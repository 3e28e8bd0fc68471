"""The page on which somebody confirms that a program may log in as them."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from codewire.relay.pages.page import page

TITLE = "Log a program in"


class DeviceForm(NamedTuple):
    """What the page begins with: a code, who is signed in ("" for nobody), what went wrong."""

    user_code: str
    username: str
    trouble: str = ""


def device_page(form: DeviceForm, sign_in: str) -> str:
    """Return the page; `sign_in` is where to sign in, "" where only the admin's token counts."""
    trouble = f"<p><b>{escape(form.trouble)}</b></p>" if form.trouble else ""
    if not form.username and sign_in:
        return page(
            TITLE,
            f"""{trouble}<p>Sign in first; then confirm the code that the program shows.</p>
<p><a class="button" href="{escape(sign_in)}">Sign in</a></p>""",
        )
    who = f"<p>You are signed in as <b>{escape(form.username)}</b>.</p>" if form.username else ""
    token = (
        ""
        if form.username
        else """<p><label>The admin's token <input name="token" type="password" required
autocomplete="off"></label></p>"""
    )
    return page(
        TITLE,
        f"""{trouble}{who}<p>Confirm only a code that a program of your own shows just now: it will
act in your name.</p>
<form method="post" action="/device">
<p><label>Code <input name="user_code" value="{escape(form.user_code)}" required
autocomplete="off" autocapitalize="characters" spellcheck="false"></label></p>
{token}
<p><button name="decision" value="confirm">Confirm</button>
<button name="decision" value="deny" formnovalidate>Deny</button></p>
</form>""",
    )


def confirmed_page(*, is_denied: bool) -> str:
    """Return the page that says that it is done."""
    text = "It was denied." if is_denied else "The program is logged in."
    return page(TITLE, f"<p>{text} You may close this page.</p>")
