"""The node as a systemd user service: its unit file, and what systemctl(1) is told.

Either all of it is done or nothing is left: a unit that systemd does not take is removed again.
"""

from __future__ import annotations

import os
import subprocess

from codewire.client.reach.scope import is_lingering
from codewire.config import DEFAULT_GRACE_SECONDS, load_settings
from codewire.errors import CodewireError, ConfigError
from codewire.io.unix import is_answering
from codewire.paths import DataDir, check_owner, home, self_command

NAME = "codewire.service"
# systemctl waits for what it starts.
SYSTEMCTL_SECONDS = 60.0
# What a stop takes beyond the grace times: SIGKILL, and writing everything down.
MARGIN_SECONDS = 30

UNIT = """\
# Written by 'cw node install'; 'cw node install --uninstall' removes it.
[Unit]
Description=Codewire node
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
ExecStart={command} node
{environment}KillMode=mixed
TimeoutStopSec={seconds}
Restart=on-failure
RestartSec=2

[Install]
WantedBy=default.target
"""


class UserUnit:
    """The unit of one data directory's node."""

    def __init__(self, paths: DataDir) -> None:
        self._paths = paths
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home(), ".config")
        self.path = os.path.join(config, "systemd", "user", NAME)

    def text(self) -> str:
        """Return the unit file."""
        try:
            grace = load_settings(self._paths.config).grace_seconds
        except ConfigError:
            grace = DEFAULT_GRACE_SECONDS
        own = os.environ.get("CODEWIRE_DIR")
        setting = quoted(f"CODEWIRE_DIR={self._paths.root}", is_command=False)
        return UNIT.format(
            command=" ".join(map(quoted, self_command())),
            environment=f"Environment={setting}\n" if own else "",
            seconds=int(2 * grace) + MARGIN_SECONDS,
        )

    def install(self) -> list[str]:
        """Write and enable the unit, and start it unless a node runs; return what to say.

        Raises CodewireError; then nothing is left.
        """
        before = _read(self.path)
        self._write(self.text())
        runs = is_answering(self._paths.real_socket())
        try:
            systemctl("daemon-reload")
            systemctl("enable", *([] if runs else ["--now"]), NAME)
        except CodewireError:
            self._put_back(before)
            raise
        said = [f"installed {self.path}: the node starts with this user's service manager"]
        if runs:
            said.append("the node that runs now stays; systemd starts it from the next boot on")
        if not is_lingering():
            said.append(
                "lingering is off: it starts at the first login and ends at the last logout; "
                "'loginctl enable-linger' has it start at boot"
            )
        return said

    def uninstall(self) -> list[str]:
        """Disable and remove the unit; a node that runs stays. Raises CodewireError."""
        if _read(self.path) is None:
            return [f"not installed: there is no {self.path}"]
        # First, so that systemd still knows what it is to forget.
        systemctl("disable", NAME)
        try:
            os.unlink(self.path)
        except OSError as error:
            raise CodewireError(f"removing {self.path}: {error.strerror}") from error
        systemctl("daemon-reload")
        return [f"removed {self.path}; a node that runs now stays until 'cw stop'"]

    def _write(self, text: str) -> None:
        check_owner(self.path)
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise CodewireError(f"writing {self.path}: {error.strerror}") from error

    def _put_back(self, before: str | None) -> None:
        try:
            if before is None:
                os.unlink(self.path)
            else:
                self._write(before)
        except OSError:
            pass


def systemctl(*words: str) -> None:
    """Run `systemctl --user`. Raises CodewireError with its words, and what to do instead."""
    env = dict(os.environ)
    runtime = f"/run/user/{os.getuid()}"
    if not env.get("XDG_RUNTIME_DIR") and os.path.isdir(runtime):
        # Of su(1), sudo(8) and cron(8): the manager is there all the same.
        env["XDG_RUNTIME_DIR"] = runtime
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SYSTEMCTL_SECONDS,
            env=env,
        )
    except OSError as error:
        raise CodewireError(_instead(f"systemctl cannot be run: {error.strerror}")) from error
    except subprocess.TimeoutExpired as error:
        raise CodewireError(f"'systemctl --user {words[0]}' does not end") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        raise CodewireError(_instead(f"'systemctl --user {words[0]}' failed: {said}"))


def _instead(why: str) -> str:
    from shlex import join

    command = join([*self_command(), "start"])
    return f"{why}\nnothing was installed; without systemd, 'crontab -e' takes: @reboot {command}"


def quoted(word: str, is_command: bool = True) -> str:
    """Return one word as a unit file has it (systemd.syntax(7), systemd.service(5))."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{text.replace("$", "$$") if is_command else text}"'


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None
