"""What Python runs first of cw.pyz. In the syntax of 2.7: those that cannot run it read it, too."""
# ruff: noqa: UP031, UP036

import os
import sys


def check():
    """End with one line on a Python that lacks what cw needs."""
    version = "%d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 10):
        name = os.path.basename(sys.argv[0]) or "cw.pyz"
        sys.exit(
            "Error: cw needs Python 3.10 or newer, and %s is %s: run it with a newer one, "
            "for instance 'python3.11 %s'" % (sys.executable or "this", version, name)
        )
    try:
        import json  # noqa: F401
    except ImportError as error:
        sys.exit(
            "Error: %s lacks a part of Python's standard library (%s): install the whole of "
            "Python %s (on Debian: apt-get install python3)" % (sys.executable, error, version)
        )


check()

# The keeper loads all it needs before it serves, and stays small.
if sys.argv[1:2] != ["keeper"]:
    from codewire.archive import keep

    # .../cw.pyz/__main__.py, or .pyc
    keep(os.path.dirname(os.path.abspath(__file__)))

from cw import main  # noqa: E402

sys.exit(main())
