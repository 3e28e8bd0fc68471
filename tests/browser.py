"""A headless Chromium for a test, driven over its DevTools WebSocket by our own client."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from codewire.io.dialling import Trust, dial_websocket
from codewire.io.outbound import parse_address
from tests.processes import wait_until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
PATIENCE = 60.0


class Chromium:
    """One browser with one page. `violations` are what its content security policies stopped."""

    def __init__(self, width: int, height: int = 740) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="cw-browser-", dir="/tmp"))
        self._process = subprocess.Popen(
            [
                PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--remote-debugging-port=0", f"--user-data-dir={self._home}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self.violations: list[str] = []
        try:
            self._open()
            self.call("Page.enable")
            self.call("Audits.enable")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
            self.call("Emulation.setDeviceMetricsOverride", **size)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Connect to the page it begins with."""
        said = self._home / "DevToolsActivePort"
        wait_until(lambda: said.exists() and said.read_text().strip(), PATIENCE, "Chromium is up")
        port = int(said.read_text().split()[0])
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/json/list")
        pages = json.loads(connection.getresponse().read())
        connection.close()
        (url,) = [one["webSocketDebuggerUrl"] for one in pages if one["type"] == "page"]
        address = parse_address(url, {"ws": 80}, "")
        self._stream = dial_websocket(address, (), time.monotonic() + PATIENCE, Trust())
        self._stream.set_timeout(PATIENCE)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a DevTools method."""
        self._number += 1
        self._stream.send_control({"id": self._number, "method": method, "params": params})
        while (message := self._next()).get("id") != self._number:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def visit(self, url: str) -> None:
        """Open a page, and return once it is there."""
        self.call("Page.navigate", url=url)
        self._wait_loaded()

    def press(self, selector: str) -> None:
        """Click on what leads to another page, and return once that is there."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self._wait_loaded()

    def type(self, selector: str, text: str) -> None:
        """Fill in a field."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def run(self, script: str) -> Any:
        """Return what an expression is on the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.run("document.body.innerText"))

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        if hasattr(self, "_stream"):
            self._stream.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _wait_loaded(self) -> None:
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def _next(self) -> dict[str, Any]:
        frame = self._stream.receive()
        assert frame is not None, "Chromium is gone"
        message: dict[str, Any] = json.loads(frame[1])
        issue = message.get("params", {}).get("issue", {})
        if issue.get("code") == "ContentSecurityPolicyIssue":
            self.violations.append(json.dumps(issue["details"]))
        return message
