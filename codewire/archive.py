"""The program of a cw.pyz, kept in memory: an upgrade under a running command does not reach it.

zipimport opens the archive anew for every module, and commands import what they need when they need
it: whoever waits in a `cw wait` while the file is replaced, deleted or cut would end in an import
error. Only the archive's own __main__ calls this. Parses the zip's directory itself (APPNOTE 4.3):
what zipimport knows may be of another file by the time this one is read.
"""

from __future__ import annotations

import marshal
import struct
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

END, END_BYTES = b"PK\5\6", 22
# Of a file's entry in the directory: mark, method, sizes, lengths of what follows, place.
ENTRY, ENTRY_MARK = struct.Struct("<4s6xH8xIIHHH8xI"), b"PK\1\2"
LOCAL_BYTES = 30
# Of a .pyc: magic number, flags, hash of the source (PEP 552).
PYC_HEADER_BYTES = 16


class Archive:
    """Finds and loads the modules of one archive (see importlib.abc), from its bytes.

    Raises ValueError for what is no archive that build-pyz made.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self._path = path
        self._data = memoryview(data)
        self._places = _read_directory(data)

    # Finding

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        stem = name.replace(".", "/")
        for file, is_package in ((f"{stem}/__init__", True), (stem, False)):
            if f"{file}.py" in self._places:
                origin = f"{self._path}/{file}.py"
                spec = ModuleSpec(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]
                spec.has_location = True
                if spec.submodule_search_locations is not None:
                    spec.submodule_search_locations.append(f"{self._path}/{stem}")
                return spec
        return None

    # Loading

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code(str(module.__file__)), module.__dict__)

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a file that a module has beside it. Raises OSError."""
        name = path.removeprefix(f"{self._path}/")
        if name not in self._places:
            raise FileNotFoundError(2, "no such file in the archive", path)
        return bytes(self._bytes(name))

    def get_source(self, name: str) -> str | None:
        """Return the source of a module, for tracebacks."""
        spec = self.find_spec(name)
        return None if spec is None else self.get_data(str(spec.origin)).decode()

    def _code(self, path: str) -> CodeType:
        """Return the code of a module: compiled before, if by such a Python as this one."""
        name = path.removeprefix(f"{self._path}/")
        compiled = self._bytes(f"{name}c") if f"{name}c" in self._places else b""
        if compiled[: len(MAGIC_NUMBER)] == MAGIC_NUMBER:
            code: CodeType = marshal.loads(compiled[PYC_HEADER_BYTES:])
            return code
        return compile(bytes(self._bytes(name)), path, "exec", dont_inherit=True)

    def _bytes(self, name: str) -> memoryview:
        start, size = self._places[name]
        # Its local header may have other extra fields than the directory.
        head = self._data[start : start + LOCAL_BYTES]
        start += LOCAL_BYTES + _number(head[26:28]) + _number(head[28:30])
        return self._data[start : start + size]


def _read_directory(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where each file's local header is, and the file's size in bytes."""
    end = data[-END_BYTES:]
    if end[:4] != END:
        raise ValueError("no end of a zip's directory")
    at = len(data) - END_BYTES - _number(end[12:16])
    # What stands before the zip, the #! line, is not counted in its offsets.
    before = at - _number(end[16:20])
    places = {}
    for _ in range(_number(end[10:12])):
        mark, method, packed, size, names, extra, comment, offset = ENTRY.unpack_from(data, at)
        if mark != ENTRY_MARK or method or size != packed:
            raise ValueError("not stored as build-pyz does it")
        at += ENTRY.size
        places[data[at : at + names].decode()] = (before + offset, size)
        at += names + extra + comment
    return places


def _number(data: bytes | memoryview) -> int:
    return int.from_bytes(data, "little")


def keep(path: str) -> None:
    """Import from the archive's bytes, as they are now, from here on. Blocks for a millisecond.

    An archive that cannot be read is left to zipimport, which found this module in it.
    """
    try:
        with open(path, "rb") as file:
            archive = Archive(path, file.read())
    except (OSError, ValueError):
        return
    sys.meta_path.insert(0, archive)
