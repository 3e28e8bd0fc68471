"""`cw exec`: run one command here, in the foreground; with options of a session it is a launch."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output, usage
from codewire.errors import CodewireError, UsageError
from codewire.paths import has_runtimes

if TYPE_CHECKING:
    import subprocess

    from codewire.commands.context import Context
    from codewire.runtimes.records import Instance

# As a shell says it (sh(1)); TIMED_OUT as timeout(1).
TIMED_OUT, CANNOT_EXECUTE, NOT_FOUND, BY_SIGNAL = 124, 126, 127, 128
# Between SIGTERM and SIGKILL for a command whose time is up.
GRACE_SECONDS = 2.0
# These are about a session, so there is to be one.
OF_SESSIONS = ("--dir", "--tag", "--name", "--group", "--env", "--auto-approve", "--prompt-file")
NO_COMMAND = "no command specified. Usage: cw exec -- <command>"


def exec_command(args: dict[str, Any], context: Context) -> int:
    """Run a command here and now, in the foreground: no session, its exit code is this one's.

    It has this terminal, and nothing of it is kept. With any of the session options it is
    'cw launch': a session starts, and this returns at once. The target is local (this machine) or
    a local runtime; without one it is the current target ('cw use').

    Usage:
      cw exec [options] -- <command>...
      cw exec [options] <target> -- <command>...

    Options:
          --on <target>              The same as the target before --
      -w, --workdir <dir>            Directory to run it in (default: the current one; /workspace
                                     in a runtime)
          --timeout <seconds>        End it after this time and exit 124 (0: never)
      -i, --interactive              Accepted: it has stdin anyway
      -t, --tty                      A terminal for it in a runtime (as it has one where stdin and
                                 stdout are); here it has this one anyway
      -o, --output <text|json>       json: {"exit_code", "stdout", "stderr"} when it has ended, and
                                     exit 0

    Session options:
      -d, --dir <dir>                As of 'cw launch', like all of these
          --name <name>
          --tag <tag,...>
          --group <group>
      -e, --env <KEY=VALUE>...
          --auto-approve
          --prompt-file <file>

    Examples:
      cw exec -- make test
      cw exec --workdir /srv -o json -- git status
      cw exec --name builder -- make all
    """
    if args["--dir"] is not None and args["--workdir"] is not None:
        raise UsageError("use either --dir or --workdir, not both")
    target = _target(args)
    if any(args[flag] not in (None, [], False) for flag in OF_SESSIONS):
        return _launch({**args, "--on": target}, context)
    context.refuse_nodes("cw exec")
    instance = _runtime(target)
    if instance is not None:
        from codewire.commands.runtime.inside import exec_inside

        return exec_inside(
            instance,
            args["<command>"],
            directory=args["--workdir"],
            seconds=args["--timeout"],
            has_terminal=args["--tty"],
            is_json=args["--output"] == "json",
        )
    command, directory = args["<command>"], args["--workdir"]
    if args["--output"] == "json":
        return _run_for_json(command, directory, args["--timeout"])
    if not args["--timeout"]:
        _become(command, directory)
    process = _start(command, directory)
    _, _, status = _finish(process, args["--timeout"])
    return status


def split_command(
    command: str, argv: list[str], options: tuple[usage.Option, ...], doc: str
) -> tuple[list[str], list[str]]:
    """Split at the first `--`, which may be missing where nothing stands before the command."""
    if "--" in argv:
        at = argv.index("--")
        own, trailer = argv[:at], argv[at + 1 :]
        line = usage.scan(own, options)
        if line.values.get("--help"):
            return ["--help"], []
        if len(line.words) > 1:
            raise UsageError("expected at most one target before --")
    else:
        line = usage.scan(argv, options, stop_at_word=True)
        if line.values.get("--help"):
            return ["--help"], []
        own, trailer = argv[: len(argv) - len(line.words)], line.words
        # What looks like a flag of the command could as well be one of ours.
        usage.scan(trailer, options)
    if not trailer or not trailer[0]:
        raise UsageError(NO_COMMAND)
    return own, trailer


def _target(args: dict[str, Any]) -> str | None:
    """Return the target that is named, None for the current one."""
    before, on = args["<target>"], args["--on"]
    if before is not None and on is not None and before != on:
        raise UsageError(f"the target is {before} before --, and {on} with --on; name one")
    return str(before) if before is not None else on


def _runtime(target: str | None) -> Instance | None:
    """Return the runtime to run in, None for this machine.

    Raises CodewireError for a target that there is not.
    """
    if not target and not has_runtimes():
        return None
    from codewire.runtimes import targets

    chosen = targets.choose(target) if target else targets.current()
    return None if chosen.is_this_machine else targets.instance_of(chosen)


def _launch(args: dict[str, Any], context: Context) -> int:
    from codewire.commands import table
    from codewire.commands.sessions.launch import launch

    if args["--dir"] is None:
        args["--dir"] = args["--workdir"]
    if args["--output"] == "json":
        raise UsageError("--output json is about a command in the foreground, not a session")
    _, doc, _ = table.load(table.TABLE["launch"])
    absent: dict[str, Any] = {
        o.long: [] if o.is_repeatable else None for o in usage.command_options(doc)
    }
    words = {"<name>": None, "<tag>": None, "<command>": args["<command>"], "--on": args["--on"]}
    return launch({**absent, **words, **{flag: args[flag] for flag in OF_SESSIONS}}, context)


def _become(command: list[str], directory: str | None) -> None:
    """Turn this process into the command; returns never. Raises _Failed."""
    import signal

    output.flush_stdout()
    # Python ignores it, and that would be inherited.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        if directory is not None:
            _enter(directory)
        os.execvp(command[0], command)
    except OSError as error:
        raise _failed(command[0], error) from error


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise UsageError(f"chdir {directory}: {error.strerror}") from error


def _start(command: list[str], directory: str | None, **options: Any) -> subprocess.Popen[str]:
    import subprocess

    if directory is not None:
        _enter(directory)
    try:
        return subprocess.Popen(command, **options)
    except OSError as error:
        raise _failed(command[0], error) from error


class _Failed(CodewireError):
    """The command could not be started; the code says how, as a shell's does."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


def _failed(program: str, error: OSError) -> _Failed:
    from codewire.wire.texts import go_quote

    if isinstance(error, FileNotFoundError) and "/" not in program:
        path = os.environ.get("PATH", os.defpath)
        return _Failed(f"command {go_quote(program)} not found in PATH ({path})", NOT_FOUND)
    code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_EXECUTE
    return _Failed(f"{program}: {error.strerror}", code)


def _run_for_json(command: list[str], directory: str | None, seconds: float | None) -> int:
    import subprocess

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = _start(command, directory, **pipes, text=True, errors="replace")
    out, err, status = _finish(process, seconds)
    output.show_json({"exit_code": status, "stdout": out, "stderr": err})
    return 0


def _finish(process: subprocess.Popen[str], seconds: float | None) -> tuple[str, str, int]:
    """Wait for the end and return stdout, stderr and the code; Ctrl-C is the command's business."""
    import signal
    import subprocess

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        out, err = process.communicate(timeout=seconds or None)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            out, err = process.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = _rest(process)
        output.notice(f"the command's time is up ({seconds:g} s)")
        return out or "", err or "", TIMED_OUT
    finally:
        signal.signal(signal.SIGINT, before)
    code = process.returncode
    return out or "", err or "", code if code >= 0 else BY_SIGNAL - code


def _rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a killed command has printed; its children may hold the pipes for ever."""
    import subprocess

    try:
        return process.communicate(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired as error:
        sys.stderr.flush()
        taken = (error.stdout or b"", error.stderr or b"")
        out, err = (x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in taken)
        return out, err
