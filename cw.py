"""The `cw` program: pick the process to be, and for a worker the runtime, before anything loads.

A client command never imports gevent; a keeper imports almost nothing. Only a worker is patched.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run cw with `sys.argv` and return its exit status."""
    if sys.getfilesystemencoding() != "utf-8":
        restart_as_utf8()
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role == "keeper":
        from codewire.keeper.process import main as keeper_main

        return keeper_main(sys.argv[2:])
    if role == "worker":
        patch_worker()
        from codewire.node.worker import main as worker_main

        return worker_main(sys.argv[2:])
    import gc

    # A command is over before collecting would pay; unmaking its objects at the end is a fifth
    # of its time (bench/commands.py), so it leaves without.
    gc.disable()
    from codewire.commands import main as command_main

    return leave(command_main(sys.argv[1:]))


def restart_as_utf8() -> None:
    """Begin again in Python's UTF-8 mode (PEP 540); never returns.

    The wire is UTF-8. Under another locale an argument or a path would reach the node mangled.
    """
    import os

    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def leave(status: int) -> int:
    """End the process at once, after what it printed has gone out."""
    import os

    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        # Closed or gone: whoever should have read it does not.
        pass
    os._exit(status)


def patch_worker() -> None:
    """Make the standard library cooperative where gevent is installed and CW_RUNTIME allows it.

    select stays as it is (the drain needs epoll), subprocess, signal and os too: a worker starts
    no child, and waits for descriptors through codewire.io only; TLS has its own loop there.
    """
    import os

    if os.environ.get("CW_RUNTIME") == "threads":
        return
    try:
        from gevent import events, monkey
    except ImportError:
        if os.environ.get("CW_RUNTIME") == "gevent":
            raise
        return
    # Each patch would look for plug-ins in every installed package: a fifth of a worker's start.
    events.notify_and_call_entry_points = lambda event: None
    monkey.patch_all(
        select=False, subprocess=False, signal=False, os=False, ssl=False, queue=False, sys=False
    )


if __name__ == "__main__":
    sys.exit(main())
