"""Commands run as a person runs them, for tests of several files."""

from __future__ import annotations

import subprocess

from tests.support import Home, wait_until

LIST_HINT = "\n\nUse 'cw list' to see active sessions\n"
STATUS_HINT = "\n\nUse 'cw status <id>' to check session status\n"


def launch(home: Home, *argv: str) -> int:
    """Launch through the command line and return the id."""
    done = home.cw("launch", "--quiet", *argv)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def finished(home: Home, *argv: str) -> int:
    """Launch, wait for the end, return the id."""
    session_id = launch(home, *argv)
    home.wait_finished(session_id)
    return session_id


def failure(home: Home, *argv: str, **options: str) -> str:
    """Run a command that must fail with exit code 1 and silence on stdout; return stderr."""
    done = home.cw(*argv, **options)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


def prints(home: Home, session_id: int, text: str) -> None:
    """Wait until a session has printed the text."""
    wait_until(lambda: text.encode() in home.log(session_id), 30, f"{text!r} is in the log")


def the_rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Wait for the end; return what stdout and stderr hold that was not yet read."""
    process.wait(30)
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.read(), process.stderr.read()
