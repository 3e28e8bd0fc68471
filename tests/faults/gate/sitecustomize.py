"""Holds a new keeper or worker at the door of its `main` until a tracer is attached.

Python imports this by itself from PYTHONPATH. Nothing happens unless FAULT_GATE names a directory
with a file of the process's role (`keeper`, `worker`): then the process leaves `<role>.<pid>` there
and stops itself, after the imports and before the first call of its own, until SIGCONT comes. A
stopped process makes no system calls, so what is counted and injected from there on is its own.
"""

import os
import signal
import sys

MAINS = {"keeper": "/codewire/keeper/entry.py", "worker": "/codewire/node/worker.py"}


def role() -> str:
    """Return the word after cw.py on the command line: sys.argv is not there yet."""
    words = sys.orig_argv
    entry = next((n for n, word in enumerate(words) if word.endswith("cw.py")), len(words))
    return "".join(words[entry + 1 : entry + 2])


def hold(name: str, directory: str) -> None:
    """Stop this process when it enters the main function of its role."""

    def on_call(frame: object, event: str, argument: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]
        if code.co_name == "main" and code.co_filename.endswith(MAINS[name]):
            sys.setprofile(None)
            open(os.path.join(directory, f"{name}.{os.getpid()}"), "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.setprofile(on_call)


def main() -> None:
    """Hold this process if it is one of those that are waited for."""
    directory = os.environ.get("FAULT_GATE", "")
    if directory and role() in MAINS and os.path.exists(os.path.join(directory, role())):
        hold(role(), directory)


main()
