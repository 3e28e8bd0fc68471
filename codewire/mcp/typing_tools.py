"""Tools that type into one session: a text, keys, a prompt (spec/mcp.md 3)."""

from __future__ import annotations

from typing import Any

from codewire.client.prompting import REFUSED, TYPED, refusal
from codewire.client.reach.asking import deadline_behind
from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import (
    MAX_CHARS,
    MAX_SECONDS,
    SESSION,
    Tool,
    session_number,
    to_json,
)
from codewire.term.paste import as_typed
from codewire.term.width import printable


def send_input(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_send_input."""
    session_id = session_number(client, args["session_id"])
    text = args["input"]
    if args["auto_newline"] or args["enter"]:
        return _submit_input(client, session_id, args)
    if args["paste"]:
        text = as_typed(text.encode("utf-8", "replace")).decode()
    noticed = len(client.notices)
    count = client.send_input(
        session_id,
        text.encode("utf-8", "replace"),
        key=args["key"],
        if_idle_seconds=args["if_idle_seconds"],
        expect_screen=args["expect_screen"],
        paste=args["paste"],
    )
    return "\n".join((f"Sent {count} bytes to session {session_id}", *client.notices[noticed:]))


def _submit_input(client: CallClient, session_id: int, args: dict[str, Any]) -> str:
    """Submit a text; what is refused is an error of the tool."""
    noticed = len(client.notices)
    answer = client.submit(
        session_id,
        args["input"].encode("utf-8", "replace").decode(),
        key=args["key"],
        if_idle_seconds=args["if_idle_seconds"],
        expect_screen=args["expect_screen"],
        paste=args["paste"],
    )
    sent = f"Sent {answer.bytes} bytes to session {session_id}"
    if answer.verdict == REFUSED:
        raise RequestError(f"{sent}\n{printable_lines(refusal(session_id, answer))}")
    said = "typed, not confirmed" if answer.verdict == TYPED else answer.verdict
    return "\n".join((sent, said, *client.notices[noticed:]))


def printable_lines(text: str) -> str:
    """Return text without control characters other than line ends."""
    return "\n".join(printable(line) for line in text.splitlines())


def send_keys(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_send_keys."""
    session_id = session_number(client, args["session_id"])
    noticed = len(client.notices)
    count = client.send_keys(
        session_id, args["keys"], key=args["key"], expect_screen=args["expect_screen"]
    )
    return "\n".join((f"Sent {count} bytes to session {session_id}", *client.notices[noticed:]))


def prompt(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_prompt: what the agent said, then its state."""
    if args["timeout_seconds"]:
        client = client.until(deadline_behind(args["timeout_seconds"]))
    session_id = session_number(client, args["session_id"])
    answer = client.prompt(session_id, args["text"], timeout_seconds=args["timeout_seconds"])
    text = printable_lines("\n".join(answer.lines))[-MAX_CHARS:]
    return [text, to_json({"state": answer.state})]


TOOLS = (
    Tool(
        "codewire_send_input",
        "Type text into a running session's terminal and press Enter, as a person at its keyboard "
        "would: once the screen shows the text, and never at a dialog, menu or pager (then it "
        "fails, saying what stands there). Returns what is known: submitted, or typed, not "
        "confirmed. With auto_newline false the bytes are typed as they are. For an agent's answer "
        "use codewire_prompt, for keys codewire_send_keys, for talking to another agent "
        "codewire_msg.",
        (
            SESSION,
            Param("input", "string", "The text to type", required=True),
            Param(
                "auto_newline",
                "boolean",
                "Press Enter after the text (default true); false types the bytes as they are",
                default=True,
            ),
            Param(
                "enter",
                "boolean",
                "Press Enter, also with auto_newline false (default false)",
                default=False,
            ),
            Param(
                "paste",
                "boolean",
                "As one bracketed paste; with auto_newline Enter follows (default false)",
                default=False,
            ),
            Param(
                "key",
                "string",
                "Any unique text: input with the same key is typed once, so a retry is safe",
            ),
            Param(
                "if_idle_seconds",
                "number",
                "Refuse if the session printed something in the last so many seconds",
            ),
            Param(
                "expect_screen",
                "string",
                "Refuse if the screen's screen_hash is no longer this one",
            ),
        ),
        send_input,
    ),
    Tool(
        "codewire_send_keys",
        "Press keys in a session's terminal by name, as tmux calls them: Esc, Enter, Tab, S-Tab, "
        "Up, Down, PageUp, F5, C-c, M-x; 'text' in quotes is typed, x3 repeats the key before it. "
        "They act whatever the screen shows, so look at it first; expect_screen makes sure.",
        (
            SESSION,
            Param("keys", "string", 'The keys, e.g. "Down Down Enter"', required=True),
            Param("key", "string", "Any unique text: with the same key they are pressed once"),
            Param("expect_screen", "string", "Refuse if screen_hash is no longer this one"),
        ),
        send_keys,
    ),
    Tool(
        "codewire_prompt",
        "Submit a text to an agent in a session, wait until it has settled, and return what it "
        "said: the new lines above its input row, then JSON with state (idle; blocked: it waits "
        "for a decision; stalled: its screen has not changed for 10 s; exited). Fails at a dialog, "
        "a password prompt or a pager; nothing is typed then.",
        (
            SESSION,
            Param("text", "string", "What to say", required=True),
            Param(
                "timeout_seconds",
                "number",
                "Give up after so long (default 600)",
                default=600,
                maximum=MAX_SECONDS,
            ),
        ),
        prompt,
    ),
)
