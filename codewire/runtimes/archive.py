"""cw.pyz made from the running program: what a container gets to have a node of its own.

The same program as this one, whether it came as a wheel, a checkout or a cw.pyz itself.
"""

from __future__ import annotations

import importlib
import io
import os
import zipfile

from codewire.errors import CodewireError
from codewire.paths import program

# docopt-ng and toml: pure Python, under the MIT license.
VENDORED = ("docopt", "toml")
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = "import sys\n\nfrom cw import main\n\nsys.exit(main())\n"


def program_archive() -> bytes:
    """Return a cw.pyz of this program. Raises CodewireError."""
    entry = program()[1]
    try:
        if os.path.isfile(entry) and zipfile.is_zipfile(entry):
            with open(entry, "rb") as file:
                return file.read()
        return _packed(os.path.dirname(entry), entry)
    except (OSError, ValueError, ImportError) as error:
        raise CodewireError(f"cw cannot be packed for the container: {error}") from None


def _packed(root: str, entry: str) -> bytes:
    buffer = io.BytesIO(SHEBANG)
    buffer.seek(0, os.SEEK_END)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", MAIN)
        archive.write(entry, "cw.py")
        _add(archive, os.path.join(root, "codewire"), "codewire")
        for name in VENDORED:
            source = getattr(importlib.import_module(name), "__file__", None) or ""
            if os.path.basename(source) == "__init__.py":
                _add(archive, os.path.dirname(source), name)
            else:
                archive.write(source, f"{name}.py")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, directory: str, name: str) -> None:
    for parent, folders, files in os.walk(directory):
        folders[:] = sorted(folder for folder in folders if folder != "__pycache__")
        for file in sorted(files):
            if file.endswith((".py", ".toml", ".typed")):
                path = os.path.join(parent, file)
                archive.write(path, os.path.join(name, os.path.relpath(path, directory)))
