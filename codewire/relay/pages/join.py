"""The page an invite's link leads to (spec/relay.md 3.4)."""

from __future__ import annotations

from html import escape

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Join CodeWire Relay</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto }}
body {{ padding: 0 1rem }}
code, pre {{ font: 14px/1.4 ui-monospace, monospace; background: #8882; border-radius: 4px }}
pre {{ padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere }}
</style>
</head>
<body>
<h1>Join CodeWire Relay</h1>
{content}
</body>
</html>
"""
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
    return PAGE.format(content=content)
