"""The MCP server proper: handshake, tool list, concurrent calls, cancellation, progress.

Both protocol eras: `initialize` (2024-11-05 to 2025-11-25) and the stateless `server/discover`
of 2026-07-28, in which every request names its version and every result its type.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from codewire import __version__
from codewire.client.api import print_notice
from codewire.errors import CodewireError, UsageError
from codewire.mcp import prompts, resources, results, rpc
from codewire.mcp.arguments import (
    ArgumentError,
    as_arguments,
    input_schema,
    read_arguments,
)
from codewire.mcp.calls import CallClient, CallEnded
from codewire.mcp.memory import Memory
from codewire.mcp.results import CACHE_MS, HANDSHAKE_VERSIONS, MODERN_VERSIONS, sealed
from codewire.mcp.tool import Tool, ToolFailed
from codewire.mcp.toolbox import TOOLS

if TYPE_CHECKING:
    from codewire.client.reach.route import Route

Work = Callable[[CallClient], rpc.Message]

PROGRESS_SECONDS = 5.0
MAX_CALLS = 256

INSTRUCTIONS = """\
Codewire keeps long-running terminal programs (other agents, builds, servers) alive as sessions.
Launch with codewire_launch_session, block with codewire_wait_for, read with
codewire_read_session_output (pass next_offset back as from_offset to read on), type with
codewire_send_input, end with codewire_kill_session. A session is given by its id or its name."""
CAPABILITIES = {"tools": {}, "resources": {"subscribe": True}, "prompts": {}}
SERVER_INFO = {"name": "codewire", "version": __version__}


class Server:
    """One MCP server on two descriptors."""

    def __init__(self, read_fd: int, write_fd: int, new_client: Callable[[], CallClient]) -> None:
        """`new_client` makes the client of one call."""
        self._reader = rpc.LineReader(read_fd)
        self._writer = rpc.Writer(write_fd)
        self._make_client = new_client
        self._memory = Memory()
        self._dialect = results.Dialect()
        self._subscriptions = resources.Subscriptions(self._new_client, self._tell_update)
        self._calls: dict[str, CallClient] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_CALLS)
        self._methods: dict[str, Callable[[rpc.Message], rpc.Message]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": lambda params: {},
            "tools/list": self._list_tools,
            "prompts/list": lambda params: results.cacheable(
                params, {"prompts": prompts.LISTED}, CACHE_MS
            ),
            "resources/templates/list": lambda params: results.cacheable(
                params, {"resourceTemplates": resources.TEMPLATES}, CACHE_MS
            ),
        }
        # What asks the node; each runs beside the others.
        self._asking: dict[str, Callable[[CallClient, rpc.Message], rpc.Message]] = {
            "resources/list": lambda client, params: results.cacheable(
                params, resources.list_resources(client), 0
            ),
            "resources/read": lambda client, params: results.cacheable(
                params, resources.read_resource(client, _uri(params)), 0
            ),
            "resources/subscribe": lambda client, params: self._subscriptions.add(
                client, _uri(params)
            ),
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
        self._subscriptions.close()
        return 0

    def _new_client(self) -> CallClient:
        client = self._make_client()
        client.memory = self._memory
        return client

    def _tell_update(self, uri: str) -> None:
        self._writer.send({"method": "notifications/resources/updated", "params": {"uri": uri}})

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
        elif method == "prompts/get":
            self._get_prompt(request_id, params)
        elif method == "resources/unsubscribe":
            self._subscriptions.remove(str(params.get("uri")))
            self._writer.result(request_id, sealed(params, {}))
        elif method in self._asking:
            ask = self._asking[method]
            self._start(request_id, params, method, lambda client: ask(client, params))
        elif method in self._methods:
            self._writer.result(request_id, sealed(params, self._methods[method](params)))
        else:
            self._writer.error(request_id, rpc.METHOD_NOT_FOUND, f"method not found: {method}")

    def _initialize(self, params: rpc.Message) -> rpc.Message:
        return {
            "protocolVersion": self._dialect.agree(params.get("protocolVersion")),
            "capabilities": CAPABILITIES,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        }

    def _discover(self, params: rpc.Message) -> rpc.Message:
        return {
            "supportedVersions": [*HANDSHAKE_VERSIONS, *MODERN_VERSIONS],
            "capabilities": CAPABILITIES,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
            "ttlMs": CACHE_MS,
            "cacheScope": "public",
        }

    def _list_tools(self, params: rpc.Message) -> rpc.Message:
        tools = [
            {"name": t.name, "description": t.text, "inputSchema": input_schema(t.params)}
            | ({"outputSchema": t.output} if t.output and self._dialect.takes_data() else {})
            for t in TOOLS.values()
        ]
        return results.cacheable(params, {"tools": tools}, CACHE_MS)

    def _get_prompt(self, request_id: Any, params: rpc.Message) -> None:
        prompt = prompts.get_prompt(params)
        if prompt is None:
            text = f"unknown prompt: {params.get('name')}"
            self._writer.error(request_id, rpc.INVALID_PARAMS, text)
        else:
            self._writer.result(request_id, sealed(params, prompt))

    # Calls

    def _start_call(self, request_id: Any, params: rpc.Message) -> None:
        name = params.get("name")
        tool = TOOLS.get(name) if isinstance(name, str) else None
        if tool is None:
            self._writer.error(request_id, rpc.INVALID_PARAMS, f"unknown tool: {name}")
            return
        given = params.get("arguments")
        if given is not None and not isinstance(given, dict):
            self._writer.error(request_id, rpc.INVALID_PARAMS, "arguments must be an object")
            return
        try:
            arguments = read_arguments(tool.params, given)
        except ArgumentError as error:
            self._refuse(request_id, params, str(error))
            return
        self._start(
            request_id, params, tool.name, lambda client: self._run_tool(client, tool, arguments)
        )

    def _refuse(self, request_id: Any, params: rpc.Message, text: str) -> None:
        """Say that arguments are wrong, to the model where the protocol has a way to."""
        if self._dialect.takes_argument_results(params):
            self._writer.result(request_id, sealed(params, results.failed(text)))
        else:
            self._writer.error(request_id, rpc.INVALID_PARAMS, text)

    def _start(self, request_id: Any, params: rpc.Message, name: str, work: Work) -> None:
        """Do what asks the node in a thread of its own, and answer."""
        if not self._slots.acquire(blocking=False):
            text = f"{MAX_CALLS} calls are in progress; wait for some to end"
            self._fail(request_id, params, name, text)
            return
        try:
            client = self._new_client()
        except CodewireError as error:
            self._slots.release()
            self._fail(request_id, params, name, str(error), error.code)
            return
        # Before the next line is read: it may be the one that cancels this call.
        with self._lock:
            self._calls[json.dumps(request_id)] = client
        thread = threading.Thread(
            target=self._run, args=(client, request_id, params, name, work), daemon=True
        )
        thread.start()

    def _fail(
        self, request_id: Any, params: rpc.Message, name: str, text: str, code: str = ""
    ) -> None:
        """Say that something could not be done: of a tool as its result."""
        if name in TOOLS:
            self._writer.result(request_id, sealed(params, results.failed(text, code=code)))
        else:
            self._writer.error(request_id, rpc.NOT_FOUND, text)

    def _run(
        self, client: CallClient, request_id: Any, params: rpc.Message, name: str, work: Work
    ) -> None:
        try:
            self._report_progress(client, params)
            result = work(client)
            if not client.call_in_progress.is_cancelled:
                self._writer.result(request_id, sealed(params, result))
        except CodewireError as error:
            if not client.call_in_progress.is_cancelled:
                self._fail(request_id, params, name, str(error), error.code)
        except Exception as error:  # noqa: BLE001 - a thread's top: the agent must get an answer
            say(f"[mcp] {name} failed: {error!r}")
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
            reply = tool.run(client, arguments)
        except CallEnded:
            return results.failed("cancelled", code="cancelled")
        except ToolFailed as error:
            return results.failed(str(error), *error.more, code=error.code)
        except UsageError as error:
            return results.failed(as_arguments(str(error)), code=error.code)
        except CodewireError as error:
            return results.failed(str(error), code=error.code)
        return results.succeeded(reply, self._dialect.takes_data())

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


def _uri(params: rpc.Message) -> str:
    return str(params.get("uri") or "")


def say(line: str) -> None:
    """Say one line on stderr; what that is connected to must not cost a call."""
    with contextlib.suppress(OSError, ValueError):
        print_notice(line)


def main(find_route: Callable[[], Route]) -> int:
    """Serve on stdin and stdout, after making sure that there is a node.

    `find_route` says, for each call, how to reach it.
    """

    def new_client() -> CallClient:
        return CallClient(find_route(), say)

    try:
        new_client().node_status()
    except CodewireError as error:
        # Said now, and again by every call: the node may come later.
        say(f"[mcp] {error}")
    return Server(0, 1, new_client).run()
