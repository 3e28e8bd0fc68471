"""`cw gateway`: a session that others ask, answered by a command (spec/cli.md 10)."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError, ConnectionLost, RequestError, UsageError
from codewire.wire import events
from codewire.wire.answers.events import EventsLost, Subscribed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codewire.client.api import Client
    from codewire.commands.context import Context

TAG = "_gateway"
STUB = ["sleep", "infinity"]
APPROVED, ESCALATE = "APPROVED", "ESCALATE"
# At one time; more wait for their turn.
EVALUATORS = 16
# A person may be asked; who asked has long given up by then.
EVALUATION_SECONDS = 600.0
NOTIFY_SECONDS = 20.0
# Of what an evaluator says: what a message holds.
MAX_REPLY = 60_000
SHOWN = 200
MACOS_SCRIPT = """\
on run argv
display notification (item 1 of argv) with title "cw gateway"
end run"""


def gateway(args: dict[str, Any], context: Context) -> int:
    """Start a session that answers requests, such as those of 'cw hook', until Ctrl-C.

    Each request is given to a shell command on stdin (and as CW_REQUEST_BODY, its sender as
    CW_REQUEST_FROM); what that prints is the reply, APPROVED if it prints nothing, DENIED if it
    fails. Without --exec all is approved. A reply that begins with ESCALATE is notified as well.

    Usage:
      cw gateway [options]

    Options:
          --name <name>      Name of the session [default: gateway]
          --exec <command>   What decides, as sh -c runs it (default: approve everything)
          --notify <where>   macos, or ntfy:<url>: who is told of an ESCALATE

    Examples:
      cw gateway
      cw gateway --exec 'grep -q "rm -rf" && echo "DENIED: no" || echo APPROVED'
      cw gateway --exec ./policy.sh --notify ntfy:https://ntfy.sh/my-topic
    """
    where = args["--notify"] or ""
    if where and where != "macos" and not where.startswith(("ntfy:http://", "ntfy:https://")):
        raise UsageError(f"--notify takes macos or ntfy:<url>, got {where!r}")
    client, name = context.client(), args["--name"]
    stub = _launch_stub(client, name)
    try:
        return _Gateway(client, stub, args["--exec"] or "", where).run(name)
    finally:
        _end(client, stub)


def _launch_stub(client: Client, name: str) -> int:
    """Start the session that is asked; it does nothing."""
    from codewire.wire.codes import NAME_TAKEN

    try:
        return client.launch(STUB, working_dir="/", name=name, tags=[TAG])
    except RequestError as error:
        if error.code != NAME_TAKEN:
            raise
        left = f"where no gateway runs any more, 'cw kill {name}' ends what one has left"
        raise RequestError(f"{error}; {left}", error.code) from error


def _end(client: Client, stub: int) -> None:
    try:
        client.kill(stub)
    except CodewireError:
        # The node is gone, and the session with it.
        pass
    output.note("[cw gateway] stopped")


class _Gateway:
    """Answers the requests to one session, each in a thread of its own."""

    def __init__(self, client: Client, stub: int, command: str, where: str) -> None:
        self._client = client
        self._stub = stub
        self._command = command
        self._where = where
        self._seen: set[str] = set()
        self._turns = threading.Semaphore(EVALUATORS)

    def run(self, name: str) -> int:
        """Answer until Ctrl-C or SIGTERM, or until the session or the node ends."""
        import signal

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        # A shell that starts it in the background has it ignore the first.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            for request in self._requests(name):
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()
        except KeyboardInterrupt:
            return 0
        except ConnectionLost as error:
            raise ConnectionLost(f"the gateway's node is gone: {error}") from error
        return 0

    def _requests(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Yield requests to the session as they come, each once; ends with the session."""
        kinds = [events.REQUEST, events.STATUS]
        for frame in self._client.subscribe(self._stub, event_types=kinds):
            if isinstance(frame, Subscribed):
                output.note(f'[cw gateway] listening as "{name}" (session {self._stub})')
                # What was asked before this connection, or before another after a lost one.
                yield from self._new(self._waiting())
            elif isinstance(frame, EventsLost):
                yield from self._new(self._waiting())
            elif frame.type == events.STATUS:
                return
            elif frame.type == events.REQUEST:
                yield from self._new([frame.data])

    def _waiting(self) -> list[Mapping[str, Any]]:
        return [request.sent for request in self._client.read_messages(self._stub).open_requests]

    def _new(self, requests: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for request in requests:
            request_id = str(request.get("request_id") or "")
            if request_id and request_id not in self._seen:
                self._seen.add(request_id)
                yield request

    def _answer(self, request: Mapping[str, Any]) -> None:
        """Reply to one request, whatever happens."""
        body = str(request.get("body") or "")
        sender = str(request.get("from_name") or request.get("from") or 0)
        with self._turns:
            text = self._evaluate(body, sender)
        output.note(f"[cw gateway] {sender} -> {_shown(text)}")
        if text.upper().startswith(ESCALATE):
            _notify(self._where, f"{sender}: {_shown(text)}")
        token = str(request.get("reply_token") or "")
        try:
            self._client.reply(
                str(request["request_id"]), text, sender=self._stub, reply_token=token
            )
        except CodewireError as error:
            output.note(f"[cw gateway] reply error: {error}")

    def _evaluate(self, body: str, sender: str) -> str:
        if not self._command:
            return APPROVED
        env = {**os.environ, "CW_REQUEST_BODY": body.replace("\0", ""), "CW_REQUEST_FROM": sender}
        try:
            done = subprocess.run(
                ["sh", "-c", self._command],
                input=body.encode("utf-8", "replace"),
                capture_output=True,
                env=env,
                timeout=EVALUATION_SECONDS,
            )
        except (OSError, ValueError) as error:
            return f"DENIED: exec error: {error}"
        except subprocess.TimeoutExpired:
            return f"DENIED: exec error: no answer in {EVALUATION_SECONDS:g} s"
        if done.stderr.strip():
            said = _shown(done.stderr.decode("utf-8", "replace"))
            output.note(f"[cw gateway] eval stderr: {said}")
        if done.returncode:
            return f"DENIED: exec error: exit status {done.returncode}"
        return done.stdout.decode("utf-8", "replace").strip()[:MAX_REPLY] or APPROVED


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN] + "..."


def _notify(where: str, text: str) -> None:
    """Tell a person, as far as that works."""
    try:
        if where == "macos":
            command = ["osascript", "-e", MACOS_SCRIPT, text]
            subprocess.run(command, timeout=NOTIFY_SECONDS, capture_output=True)
        elif where:
            from urllib.request import Request, urlopen

            url = where.removeprefix("ntfy:")
            with urlopen(Request(url, text.encode(), method="POST"), timeout=NOTIFY_SECONDS):
                pass
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        output.note(f"[cw gateway] notify error: {error}")
