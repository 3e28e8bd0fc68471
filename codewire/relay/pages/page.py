"""What all pages have in common. They run no scripts and fetch nothing; phones can read them."""

from __future__ import annotations

from html import escape

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto }}
body {{ padding: 0 1rem }}
code, pre {{ font: 14px/1.4 ui-monospace, monospace; background: #8882; border-radius: 4px }}
code {{ padding: 0 .2rem; overflow-wrap: anywhere }}
pre {{ padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere }}
input, button, .button {{ font: inherit; padding: .4rem .8rem }}
</style>
</head>
<body>
<h1>{title}</h1>
{content}
</body>
</html>
"""


def page(title: str, content: str) -> str:
    """Return a page; `content` is HTML, `title` text."""
    return PAGE.format(title=escape(title), content=content)
