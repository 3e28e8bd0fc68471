"""The page an invite's link leads to (spec/relay.md 3.4)."""

from __future__ import annotations

from html import escape

from codewire.relay.pages.page import page

INVITED = """\
<p>You have been invited. Your invite:</p>
<pre>{invite}</pre>
<p>To join, run this on your machine:</p>
<pre>cw login &amp;&amp; cw network join --relay-url {url} {invite}</pre>"""
MISSING = """\
<p>This link carries no invite. Ask whoever sent it for the whole link; it ends in
<code>/join?invite=…</code>.</p>"""


def join_page(base_url: str, invite: str) -> str:
    """Return the page; both values are from outside and escaped."""
    content = INVITED.format(invite=escape(invite), url=escape(base_url)) if invite else MISSING
    return page("Join CodeWire Relay", content)
