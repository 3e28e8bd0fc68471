"""A scripted language model on loopback, speaking the four protocols agent programs use.

What it does is said by the first word of the last thing the user said: `run CMD` calls the shell
tool, `slow N` streams N words one a fifth of a second, everything else is answered with OK and its
length. Every prompt that reaches it is one line of the oracle file: that is what was submitted.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHELL_TOOLS = ("Bash", "shell", "exec_command", "shell_command", "run_shell_command", "bash")


class Turn:
    """One request: who asked, what users said in it, whether a tool has just answered, its tools.

    `texts` is all of the conversation, so a text that was submitted twice is in there twice.
    """

    def __init__(self, api: str, texts: list[str], after_tool: bool, tools: list[str]) -> None:
        self.api = api
        self.texts = texts
        self.text = texts[-1] if texts else ""
        self.after_tool = after_tool
        self.tools = tools
        # When it was asked and answered, in seconds of the monotonic clock.
        self.began = time.monotonic()
        self.ended = 0.0

    def command(self) -> str:
        """Return the shell command to call a tool with, "" for a plain answer."""
        first, _, rest = self.text.strip().partition(" ")
        return rest if first == "run" and not self.after_tool and self.shell_tool() else ""

    def shell_tool(self) -> str:
        return next((name for name in SHELL_TOOLS if name in self.tools), "")

    def words(self) -> Iterator[str]:
        """Yield the pieces of a plain answer."""
        first, _, rest = self.text.strip().partition(" ")
        if first == "slow" and rest.split()[:1] and rest.split()[0].isdigit():
            for number in range(int(rest.split()[0])):
                time.sleep(0.2)
                yield f"word{number} "
        yield "DONE-TOOL" if self.after_tool else f"OK-{len(self.text)}"


def _plain(content: Any) -> str:
    """Return the text of a message's content, a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = [p.get("text", "") for p in content or () if isinstance(p, dict)]
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def _parts(content: Any) -> list[dict[str, Any]]:
    """Return a message's content as parts."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content or () if isinstance(part, dict)]


FRAMES = ("<system-reminder>", "<environment_context>", "<user_instr", "<session_")


def _is_frame(text: str) -> bool:
    """Say whether a text is what a program adds by itself."""
    return text.lstrip().startswith(FRAMES)


def read_anthropic(body: dict[str, Any]) -> Turn:
    messages = body.get("messages", [])
    parts = [p for m in messages if m.get("role") == "user" for p in _parts(m.get("content"))]
    texts = [p.get("text", "") for p in parts if p.get("type") == "text"]
    texts = [t for t in texts if not _is_frame(t)]
    last = _parts(messages[-1].get("content")) if messages else []
    # What the user says next may come in one message with an earlier result.
    said = [p for p in last if p.get("type") == "text" and not _is_frame(p.get("text", ""))]
    after_tool = not said and any(p.get("type") == "tool_result" for p in last)
    tools = [t.get("name", "") for t in body.get("tools") or ()]
    return Turn("anthropic", texts, after_tool, tools)


def read_responses(body: dict[str, Any]) -> Turn:
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": items}]
    after_tool = bool(items) and "output" in str(items[-1].get("type", ""))
    texts = [_plain(i.get("content")) for i in items if i.get("role") == "user"]
    texts = [t for t in texts if not _is_frame(t)]
    tools = [t.get("name") or t.get("type", "") for t in body.get("tools") or ()]
    return Turn("responses", texts, after_tool, tools)


def read_chat(body: dict[str, Any]) -> Turn:
    messages = body.get("messages", [])
    after_tool = bool(messages) and messages[-1].get("role") == "tool"
    texts = [_plain(m.get("content")) for m in messages if m.get("role") == "user"]
    tools = [t.get("function", {}).get("name", "") for t in body.get("tools") or ()]
    return Turn("chat", texts, after_tool, tools)


def read_gemini(body: dict[str, Any]) -> Turn:
    contents = body.get("contents", [])
    last = contents[-1] if contents else {}
    after_tool = any("functionResponse" in p for p in last.get("parts", ()))
    parts = [p for c in contents if c.get("role") == "user" for p in c.get("parts") or ()]
    texts = [p.get("text", "") for p in parts if isinstance(p, dict)]
    texts = [t for t in texts if t and not _is_frame(t)]
    tools = [
        f.get("name", "")
        for t in body.get("tools") or ()
        for f in t.get("functionDeclarations") or ()
    ]
    return Turn("gemini", texts, after_tool, tools)


def _event(kind: str, value: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **value})}\n\n".encode()


def _data(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def say_anthropic(turn: Turn) -> Iterator[bytes]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "mock"}
    head = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _event("message_start", {"message": head})
    command = turn.command()
    if command:
        block = {"type": "tool_use", "id": f"toolu_{time.time_ns()}", "name": turn.shell_tool()}
        yield _event("content_block_start", {"index": 0, "content_block": {**block, "input": {}}})
        arguments = json.dumps({"command": command, "description": "Run it"})
        delta = {"type": "input_json_delta", "partial_json": arguments}
        yield _event("content_block_delta", {"index": 0, "delta": delta})
    else:
        block = {"type": "text", "text": ""}
        yield _event("content_block_start", {"index": 0, "content_block": block})
        for word in turn.words():
            delta = {"type": "text_delta", "text": word}
            yield _event("content_block_delta", {"index": 0, "delta": delta})
    yield _event("content_block_stop", {"index": 0})
    reason = "tool_use" if command else "end_turn"
    stop = {"stop_reason": reason, "stop_sequence": None}
    yield _event("message_delta", {"delta": stop, "usage": usage})
    yield _event("message_stop", {})


def say_responses(turn: Turn) -> Iterator[bytes]:
    answer = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    yield _event("response.created", {"response": answer})
    command = turn.command()
    if command:
        tool = turn.shell_tool()
        arguments: dict[str, Any] = {"command": ["bash", "-lc", command]}
        if tool == "exec_command":
            arguments = {"cmd": command, "sandbox_permissions": "require_escalated"}
            arguments["justification"] = "The test asks for it"
        elif tool == "shell_command":
            arguments = {"command": command}
        item = {"type": "function_call", "id": "fc_1", "call_id": f"call_{time.time_ns()}"}
        item |= {"name": tool, "arguments": json.dumps(arguments)}
    else:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress"}
        yield _event(
            "response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}
        )
        text = ""
        for word in turn.words():
            text += word
            where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            yield _event("response.output_text.delta", {**where, "delta": word})
        content = [{"type": "output_text", "text": text, "annotations": []}]
        item |= {"status": "completed", "content": content}
    yield _event("response.output_item.done", {"output_index": 0, "item": item})
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    usage |= {"input_tokens_details": {"cached_tokens": 0}}
    usage |= {"output_tokens_details": {"reasoning_tokens": 0}}
    done = {**answer, "status": "completed", "output": [item], "usage": usage}
    yield _event("response.completed", {"response": done})


def say_chat(turn: Turn) -> Iterator[bytes]:
    head = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": "mock"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    command = turn.command()
    if command:
        arguments = json.dumps({"command": command, "description": "Run it"})
        call = {"index": 0, "id": f"call_{time.time_ns()}", "type": "function"}
        call["function"] = {"name": turn.shell_tool(), "arguments": arguments}
        yield chunk({"role": "assistant", "tool_calls": [call]})
        yield chunk({}, "tool_calls")
    else:
        yield chunk({"role": "assistant", "content": ""})
        for word in turn.words():
            yield chunk({"content": word})
        yield chunk({}, "stop")
    yield _data({**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})
    yield b"data: [DONE]\n\n"


def say_gemini(turn: Turn) -> Iterator[bytes]:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}

    def chunk(part: dict[str, Any], reason: str | None = None) -> bytes:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if reason:
            candidate["finishReason"] = reason
        return _data({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "mock"})

    command = turn.command()
    if command:
        call = {"name": turn.shell_tool(), "args": {"command": command, "description": "Run it"}}
        yield chunk({"functionCall": call}, "STOP")
        return
    for word in turn.words():
        yield chunk({"text": word})
    yield chunk({"text": " "}, "STOP")


class Handler(BaseHTTPRequestHandler):
    """Answers by the path's protocol."""

    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._json({"data": [{"id": "mock", "object": "model"}], "object": "list"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        try:
            body = json.loads(data or b"{}")
        except ValueError:
            body = {}
        path = self.path.partition("?")[0]
        if path.endswith("/count_tokens") or path.endswith(":countTokens"):
            return self._json({"input_tokens": 10, "totalTokens": 10})
        for end, read, say in PROTOCOLS:
            if end in path:
                turn = read(body)
                self.server.note(turn)
                if end == ":generateContent" or not (
                    body.get("stream") or "stream" in path.lower()
                ):
                    return self._whole(turn)
                self._stream(say(turn))
                turn.ended = time.monotonic()
                return None
        return self._json({})

    def _whole(self, turn: Turn) -> None:
        """Answer a request that does not stream: titles, summaries, checks of a kind."""
        text = '{"title": "ok", "isNewTopic": false}'
        if turn.api == "anthropic":
            usage = {"input_tokens": 1, "output_tokens": 1}
            message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "mock"}
            content = [{"type": "text", "text": text}]
            self._json({**message, "content": content, "stop_reason": "end_turn", "usage": usage})
        elif turn.api == "gemini":
            content = {"role": "model", "parts": [{"text": text}]}
            self._json({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]})
        else:
            message = {"role": "assistant", "content": "ok"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json({"id": "c", "object": "chat.completion", "choices": [choice]})

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, chunks: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for chunk in chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
        except OSError:
            pass
        self.close_connection = True


PROTOCOLS = (
    ("/messages", read_anthropic, say_anthropic),
    ("/responses", read_responses, say_responses),
    ("/chat/completions", read_chat, say_chat),
    (":streamGenerateContent", read_gemini, say_gemini),
    (":generateContent", read_gemini, say_gemini),
)


class Model(ThreadingHTTPServer):
    """The server; `port` is a free one. Turns are kept in memory and written to `oracle`."""

    daemon_threads = True

    def __init__(self, oracle: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]
        self.turns: list[Turn] = []
        self._oracle = oracle
        self._lock = threading.Lock()

    def note(self, turn: Turn) -> None:
        """Write down what was asked."""
        with self._lock:
            self.turns.append(turn)
            if self._oracle:
                with open(self._oracle, "a", encoding="utf-8") as file:
                    entry = {"at": time.time(), "api": turn.api, "text": turn.text}
                    entry |= {"after_tool": turn.after_tool, "tools": len(turn.tools)}
                    file.write(json.dumps(entry) + "\n")

    def counts(self, mark: str) -> int:
        """Return how often a text with this mark was submitted: most often in one conversation."""
        with self._lock:
            turns = list(self.turns)
        return max((sum(mark in text for text in t.texts) for t in turns if t.tools), default=0)

    def holds(self, text: str) -> bool:
        """Say whether exactly this text was submitted, blanks at its ends apart."""
        with self._lock:
            turns = list(self.turns)
        return any(said.strip() == text.strip() for t in turns for said in t.texts)

    def share_a_conversation(self, first: str, second: str) -> bool:
        """Say whether texts with these marks were once in one request, the first before."""
        with self._lock:
            turns = list(self.turns)
        return any(
            any(first in text and second in later for later in turn.texts[number:])
            for turn in turns
            for number, text in enumerate(turn.texts)
        )

    def prompts(self) -> list[str]:
        """Return what users said, once each time it reached the model as a new turn."""
        with self._lock:
            return [t.text for t in self.turns if t.tools and not t.after_tool]


def main() -> int:
    """Serve until interrupted; the first line says where."""
    model = Model(sys.argv[1] if len(sys.argv) > 1 else "")
    print(f"http://127.0.0.1:{model.port}", flush=True)
    try:
        model.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
