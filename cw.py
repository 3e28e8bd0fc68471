"""The `cw` program: pick the process to be, and for a worker the runtime, before anything loads.

A client command never imports gevent; a keeper imports almost nothing. Only a worker is patched.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run cw with `sys.argv` and return its exit status."""
    fill_descriptors()
    if sys.getfilesystemencoding() != "utf-8":
        restart_as_utf8()
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role == "keeper":
        from codewire.keeper.entry import main as keeper_main

        return keeper_main(sys.argv[2:])
    if role == "worker":
        return be_worker(sys.argv[2:])
    if role == "relay-process":
        patch_relay()
        from codewire.relay.process import main as relay_main

        return relay_main(sys.argv[2:])
    if role == "fleet-bridge":
        from codewire.fleet.process import main as bridge_main

        return bridge_main(sys.argv[2:])
    if role == "shell-warden":
        from codewire.node.shells.warden import main as warden_main

        return warden_main(sys.argv[2:])
    if role == "ssh-gateway":
        from codewire.relay.ssh.process import main as gateway_main

        return gateway_main(sys.argv[2:])
    if role == "notifier":
        from codewire.notify.process import main as notifier_main

        return notifier_main(sys.argv[2:])
    import gc

    # A command is over before collecting would pay; unmaking its objects at the end is a fifth
    # of its time (bench/commands.py), so it leaves without.
    gc.disable()
    from codewire.commands import main as command_main

    return leave(command_main(sys.argv[1:]))


def fill_descriptors() -> None:
    """Open /dev/null as each of 0, 1 and 2 that was closed when we were started.

    Otherwise the next file or socket gets that number, and whoever writes to stderr writes there.
    """
    import os

    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            try:
                # The lowest free number is this one: those below are open by now.
                os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)
            except OSError:
                # A system without /dev/null.
                return


def be_worker(argv: list[str]) -> int:
    """Run a worker; one that cannot even start tells the keeper why before it ends."""
    try:
        patch_worker()
        from codewire.node.worker import main as worker_main
    except Exception as error:
        from codewire.keeper.protocol import tell_failing

        if len(argv) == 1 and argv[0].isdigit():
            tell_failing(int(argv[0]), error)
        raise
    return worker_main(argv)


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
    _patch(select=False, subprocess=False, signal=False, os=False, ssl=False, queue=False)


def patch_relay() -> None:
    """The same for a relay, which has libraries wait for sockets: select and ssl with them.

    With ssl as it is, urllib fails over https; with select as it is, psycopg stops everybody.
    """
    _patch(subprocess=False, signal=False, os=False)


def _patch(**kept: bool) -> None:
    """Patch all but what is named. Raises ImportError when gevent is wanted and missing."""
    import os

    if os.environ.get("CW_RUNTIME") == "threads":
        return
    try:
        from gevent import events, monkey
    except ImportError as error:
        if os.environ.get("CW_RUNTIME") == "gevent":
            raise ImportError(
                "CW_RUNTIME=gevent is set, but gevent is not installed here; "
                "pip install gevent, or unset CW_RUNTIME"
            ) from error
        return
    # Each patch would look for plug-ins in every installed package: a fifth of a worker's start.
    events.notify_and_call_entry_points = lambda event: None
    monkey.patch_all(sys=False, **kept)


if __name__ == "__main__":
    sys.exit(main())
