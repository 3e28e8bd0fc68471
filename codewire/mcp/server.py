"""The MCP server proper: handshake, tool list, concurrent calls, cancellation, progress.

Both protocol eras: `initialize` (2024-11-05 to 2025-11-25) and the stateless `server/discover`
of 2026-07-28, in which every request names its version and every result its type.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from codewire import __version__
from codewire.client.api import print_notice
from codewire.errors import CodewireError
from codewire.mcp import rpc
from codewire.mcp.arguments import ArgumentError, input_schema, read_arguments
from codewire.mcp.calls import CallClient, CallEnded
from codewire.mcp.tool import Tool, ToolFailed, plain_text
from codewire.mcp.toolbox import TOOLS

if TYPE_CHECKING:
    from codewire.client.reach.route import Route

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"

# Where a failed call's error code stands (docs/protocol.md lists those of a node).
CODE_KEY = "codewire/code"

# The list never changes while a server runs; ask again after a day.
CACHE_MS = 24 * 3600 * 1000
PROGRESS_SECONDS = 5.0
MAX_CALLS = 256

INSTRUCTIONS = """\
Codewire keeps long-running terminal programs (other agents, builds, servers) alive as sessions.
Launch with codewire_launch_session, block with codewire_wait_for, read with
codewire_read_session_output (pass next_offset back as from_offset to read on), type with
codewire_send_input, end with codewire_kill_session. Sessions are named by id or by name."""


class Server:
    """One MCP server on two descriptors."""

    def __init__(self, read_fd: int, write_fd: int, new_client: Callable[[], CallClient]) -> None:
        """`new_client` makes the client of one call."""
        self._reader = rpc.LineReader(read_fd)
        self._writer = rpc.Writer(write_fd)
        self._new_client = new_client
        self._calls: dict[str, CallClient] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_CALLS)
        self._methods: dict[str, Callable[[rpc.Message], rpc.Message]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": lambda params: {},
            "tools/list": self._list_tools,
        }

    def run(self) -> int:
        """Serve until the input ends; return the exit status."""
        while True:
            line = self._reader.next_line()
            if line == b"":
                break
            if line is None:
                self._writer.error(None, rpc.PARSE_ERROR, f"line longer than {rpc.MAX_LINE} bytes")
            else:
                self._take(line)
        for client in list(self._calls.values()):
            client.call_in_progress.cancel()
        return 0

    def _take(self, line: bytes) -> None:
        try:
            message = rpc.parse_line(line)
        except ValueError as error:
            self._writer.error(None, rpc.PARSE_ERROR, f"parse error: {error}")
            return
        if not isinstance(message, dict):
            self._writer.error(None, rpc.INVALID_REQUEST, "a message must be one JSON object")
            return
        method = message.get("method")
        request_id = message.get("id")
        if request_id is None:
            # A notification: never answered, whatever it is.
            if method == "notifications/cancelled":
                self._cancel(message.get("params"))
            return
        if isinstance(request_id, bool) or not isinstance(request_id, (str, int, float)):
            self._writer.error(None, rpc.INVALID_REQUEST, "id must be a string or a number")
        elif not isinstance(method, str):
            if "result" not in message and "error" not in message:
                self._writer.error(request_id, rpc.INVALID_REQUEST, "method must be a string")
        else:
            self._answer(request_id, method, message.get("params"))

    def _answer(self, request_id: Any, method: str, params: Any) -> None:
        if params is None:
            params = {}
        if not isinstance(params, dict):
            self._writer.error(request_id, rpc.INVALID_PARAMS, "params must be an object")
        elif method == "tools/call":
            self._start_call(request_id, params)
        elif method in self._methods:
            self._writer.result(request_id, _sealed(params, self._methods[method](params)))
        else:
            self._writer.error(request_id, rpc.METHOD_NOT_FOUND, f"method not found: {method}")

    def _initialize(self, params: rpc.Message) -> rpc.Message:
        asked = params.get("protocolVersion")
        version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "codewire", "version": __version__},
            "instructions": INSTRUCTIONS,
        }

    def _discover(self, params: rpc.Message) -> rpc.Message:
        return {
            "supportedVersions": [*HANDSHAKE_VERSIONS, *MODERN_VERSIONS],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "codewire", "version": __version__},
            "instructions": INSTRUCTIONS,
            "ttlMs": CACHE_MS,
            "cacheScope": "public",
        }

    def _list_tools(self, params: rpc.Message) -> rpc.Message:
        tools = [
            {"name": t.name, "description": t.text, "inputSchema": input_schema(t.params)}
            for t in TOOLS.values()
        ]
        result: rpc.Message = {"tools": tools}
        if _is_modern(params):
            result |= {"ttlMs": CACHE_MS, "cacheScope": "public"}
        return result

    # Calls

    def _start_call(self, request_id: Any, params: rpc.Message) -> None:
        name = params.get("name")
        tool = TOOLS.get(name) if isinstance(name, str) else None
        if tool is None:
            self._writer.error(request_id, rpc.INVALID_PARAMS, f"unknown tool: {name}")
            return
        try:
            arguments = read_arguments(tool.params, params.get("arguments"))
        except ArgumentError as error:
            self._writer.error(request_id, rpc.INVALID_PARAMS, str(error))
            return
        if not self._slots.acquire(blocking=False):
            text = f"Error: {MAX_CALLS} calls are in progress; wait for some to end"
            self._writer.result(request_id, _sealed(params, _text_result(text, True)))
            return
        try:
            client = self._new_client()
        except CodewireError as error:
            self._slots.release()
            self._writer.result(request_id, _sealed(params, _failure(error)))
            return
        # Before the next line is read: it may be the one that cancels this call.
        with self._lock:
            self._calls[json.dumps(request_id)] = client
        thread = threading.Thread(
            target=self._run_call, args=(client, request_id, tool, arguments, params), daemon=True
        )
        thread.start()

    def _run_call(
        self,
        client: CallClient,
        request_id: Any,
        tool: Tool,
        arguments: dict[str, Any],
        params: rpc.Message,
    ) -> None:
        try:
            self._report_progress(client, params)
            result = self._run_tool(client, tool, arguments)
            if not client.call_in_progress.is_cancelled:
                self._writer.result(request_id, _sealed(params, result))
        except Exception as error:  # noqa: BLE001 - a thread's top: the agent must get an answer
            sys.stderr.write(f"[mcp] {tool.name} failed: {error!r}\n")
            self._writer.error(request_id, rpc.INTERNAL_ERROR, f"internal error: {error!r}")
        finally:
            self._forget(json.dumps(request_id), client)
            client.call_in_progress.end()
            self._slots.release()

    def _forget(self, key: str, client: CallClient) -> None:
        """Drop a call that is over, but not a later one that was given the same id."""
        with self._lock:
            if self._calls.get(key) is client:
                del self._calls[key]

    def _run_tool(self, client: CallClient, tool: Tool, arguments: dict[str, Any]) -> rpc.Message:
        try:
            texts = tool.run(client, arguments)
        except CallEnded:
            return _text_result("Error: cancelled", True)
        except ToolFailed as error:
            return _failure(error, *error.more)
        except CodewireError as error:
            return _failure(error)
        return _texts_result([texts] if isinstance(texts, str) else texts, False)

    def _cancel(self, params: Any) -> None:
        request_id = params.get("requestId") if isinstance(params, dict) else None
        with self._lock:
            client = self._calls.get(json.dumps(request_id))
        if client is not None:
            client.call_in_progress.cancel()

    def _report_progress(self, client: CallClient, params: rpc.Message) -> None:
        meta = params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if token is None or isinstance(token, bool) or not isinstance(token, (str, int)):
            return
        threading.Thread(target=self._tick, args=(client, token), daemon=True).start()

    def _tick(self, client: CallClient, token: Any) -> None:
        started = time.monotonic()
        while not client.call_in_progress.wait_over(PROGRESS_SECONDS):
            elapsed = int(time.monotonic() - started)
            note = {"progressToken": token, "progress": elapsed, "message": f"waiting, {elapsed}s"}
            self._writer.send({"method": "notifications/progress", "params": note})


def _is_modern(params: rpc.Message) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and meta.get(VERSION_KEY) in MODERN_VERSIONS


def _sealed(params: rpc.Message, result: rpc.Message) -> rpc.Message:
    """Name the result's type where the request is of the era that requires it."""
    return {"resultType": "complete", **result} if _is_modern(params) else result


def _text_result(text: str, is_error: bool) -> rpc.Message:
    return _texts_result([text], is_error)


def _failure(error: CodewireError, *more: str) -> rpc.Message:
    """Return a failed call's result: its words, and in `_meta` its code for programs."""
    result = _texts_result([f"Error: {error}", *more], True)
    return {**result, "_meta": {CODE_KEY: error.code}} if error.code else result


def _texts_result(texts: list[str], is_error: bool) -> rpc.Message:
    content = [{"type": "text", "text": plain_text(text)} for text in texts]
    result: rpc.Message = {"content": content}
    if is_error:
        result["isError"] = True
    return result


def main(find_route: Callable[[], Route]) -> int:
    """Serve on stdin and stdout, after making sure that there is a node.

    `find_route` says, for each call, how to reach it.
    """

    def new_client() -> CallClient:
        return CallClient(find_route(), print_notice)

    try:
        new_client().node_status()
    except CodewireError as error:
        # Said now, and again by every call: the node may come later.
        print_notice(f"[mcp] {error}")
    return Server(0, 1, new_client).run()
