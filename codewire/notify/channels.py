"""How a letter reaches people: a command that reads it on stdin, a webhook. Both block.

It is JSON, on stdin or in a body: no word of it is ever in an argv, and no shell sees it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPException

from codewire.notify.letters import Letter

COMMAND_SECONDS = 10.0
WEBHOOK_SECONDS = 10.0
MAX_STDERR = 300


class NotSent(Exception):
    """A letter did not go out; the message says why, without secrets."""


def run_command(command: tuple[str, ...], letter: Letter) -> None:
    """Run a command with the letter on its stdin. Raises NotSent."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise NotSent(f"{command[0]} cannot be run: {cause}") from error
    try:
        _, said = process.communicate(body(letter), COMMAND_SECONDS)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(OSError):
            # It leads its own group, and has not been reaped.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise NotSent(f"{command[0]} took longer than {COMMAND_SECONDS:g} s") from error
    finally:
        for stream in (process.stdin, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    if process.returncode:
        words = " ".join(said.decode("utf-8", "replace").split())[-MAX_STDERR:]
        code = process.returncode
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise NotSent(f"{command[0]} failed ({how}){': ' if words else ''}{words}")


def post(url: str, letter: Letter, host: str) -> int:
    """POST a letter and return the HTTP status. Raises NotSent."""
    request = urllib.request.Request(
        url,
        body(letter),
        {
            "Content-Type": "application/json",
            "User-Agent": "codewire",
            "Idempotency-Key": str(letter["event_id"]),
        },
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotSent(f"the webhook at {host} answers {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        raise NotSent(f"the webhook at {host} cannot be reached: {cause}") from None


def body(letter: Letter) -> bytes:
    """Return a letter as one line of JSON."""
    return json.dumps(letter, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
