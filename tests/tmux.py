"""A tmux server of the test's own: a real terminal whose screen can be read back."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time

from tests.support import CW, Home, wait_until

HAS_TMUX = shutil.which("tmux") is not None


class Tmux:
    """Windows on a private server. Every one is ended by `close`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._socket = os.path.join(home.path, "tmux.sock")
        self._count = 0

    def command(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *args],
            env=self._home.env,
            cwd=self._home.path,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def run(self, *command: str, rows: int = 24, cols: int = 80, **env: str) -> Window:
        """Run a command in a new terminal of its own; the terminal stays when it ends."""
        self._count += 1
        name = f"w{self._count}"
        settings = [f"{key}={value}" for key, value in env.items()]
        words = shlex.join(["env", *settings, *command])
        # Without a status line the pane has all rows, once it is told so.
        self.command("new-session", "-d", "-s", name, "-x", str(cols), "-y", str(rows), "cat")
        self.command("set-option", "-t", name, "status", "off")
        self.command("set-option", "-t", name, "remain-on-exit", "on")
        self.command("resize-window", "-t", name, "-x", str(cols), "-y", str(rows))
        self.command("respawn-pane", "-k", "-t", name, words)
        return Window(self, name)

    def cw(self, *args: str, rows: int = 24, cols: int = 80) -> Window:
        return self.run(*CW, *args, rows=rows, cols=cols)

    def shell(self, rows: int = 24, cols: int = 80) -> Window:
        """Run a shell that outlives the commands typed into it."""
        return self.run("bash", "--norc", "--noprofile", "-i", rows=rows, cols=cols, PS1="$ ")

    def close(self) -> None:
        if os.path.exists(self._socket):
            subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True)


class Window:
    """One terminal of 24 rows or as asked for."""

    def __init__(self, tmux: Tmux, name: str) -> None:
        self._tmux = tmux
        self.name = name

    def type(self, text: str) -> None:
        self._tmux.command("send-keys", "-t", self.name, "-l", text)

    def show(self, colours: bool = False) -> str:
        """Return what is on the screen, with colours if asked for."""
        flags = ["-e"] if colours else []
        return self._tmux.command("capture-pane", "-p", *flags, "-t", self.name)

    def facts(self, *names: str) -> str:
        """Return what tmux knows of the terminal: cursor_x, alternate_on, keypad_flag, …"""
        words = " ".join(f"{name}=#{{{name}}}" for name in names)
        return self._tmux.command("display-message", "-p", "-t", self.name, words).strip()

    @property
    def pid(self) -> int:
        return int(self.facts("pane_pid").partition("=")[2])

    def expect(self, text: str, timeout: float = 30.0) -> None:
        wait_until(lambda: text in self.show(), timeout, f"{text!r} on the screen")

    def expect_facts(self, facts: str, timeout: float = 30.0) -> None:
        """Wait until tmux knows this of the terminal: `alternate_on=0 cursor_flag=1`, say."""
        names = [fact.partition("=")[0] for fact in facts.split(" ")]
        wait_until(lambda: self.facts(*names) == facts, timeout, facts)

    def expect_prompt(self) -> None:
        """Wait until the shell of `Tmux.shell` reads a command."""
        wait_until(lambda: self.show().rstrip().endswith("$"), 30, "the shell's prompt")

    def settled(self, quiet: float = 0.3) -> str:
        """Return the screen once it has not changed for a while.

        A slow program may not even have begun: wait for what it shows where that matters.
        """
        last, since = self.show(colours=True), time.monotonic()
        deadline = since + 30
        while time.monotonic() - since < quiet:
            assert time.monotonic() < deadline, "the screen never settles"
            time.sleep(0.05)
            now = self.show(colours=True)
            if now != last:
                last, since = now, time.monotonic()
        return last

    def expect_same(self, other: Window, timeout: float = 30.0) -> None:
        """Wait until both terminals show the same, colours and cursor included."""
        places = ("cursor_x", "cursor_y", "cursor_flag", "alternate_on")
        deadline = time.monotonic() + timeout
        while True:
            ours, theirs = self.settled(), other.settled()
            same_place = self.facts(*places) == other.facts(*places)
            if ours == theirs and same_place:
                return
            assert time.monotonic() < deadline, f"{ours}\n--- is not ---\n{theirs}"


PYTHON = sys.executable
