"""What setup.cfg cannot say: where a build works, and how README reads on an index page.

setuptools builds in the source tree, where the next build finds modules that have been deleted
since, and which may be a read-only mount.
"""

import atexit
import os
import re
import shutil
import sys
import tempfile

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.egg_info import egg_info

ROOT = os.path.dirname(os.path.abspath(__file__))
# Where the sources can be read; scripts/release sets it. Without one there is nothing to link to.
URL = os.environ.get("CODEWIRE_URL", "").rstrip("/")
RELATIVE_LINK = re.compile(r"\[([^]]+)\]\((?!https?:|mailto:|#)([^)]+)\)")

_scratch = ""


def scratch():
    """Return a directory outside the source tree that lives as long as this build."""
    global _scratch
    if not _scratch:
        _scratch = tempfile.mkdtemp(prefix="codewire-build-")
        atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
    return _scratch


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = scratch()


class EggInfo(egg_info):
    def initialize_options(self):
        super().initialize_options()
        # A source distribution has this directory inside.
        if "sdist" not in sys.argv:
            self.egg_base = scratch()


def description():
    """Return README without links that would lead nowhere from where it is shown."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    if URL:
        return RELATIVE_LINK.sub(rf"[\1]({URL}/\2)", text)
    note = "\nThe documents under `docs/` are in the source distribution.\n"
    return RELATIVE_LINK.sub(r"`\2`", text) + note


setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    cmdclass={"build": Build, "egg_info": EggInfo},
)
