"""A program kept in memory: modules, packages and files of an archive that is gone by then."""

from __future__ import annotations

import importlib.util
import io
import marshal
import pkgutil
import sys
import traceback
import zipfile
from collections.abc import Iterator

import pytest

from codewire.archive import Archive

FILES = {
    "prog/__init__.py": "version = 7\n",
    "prog/inner/__init__.py": "",
    "prog/inner/deep.py": "from prog import version\nwhere = __file__\ndef fail():\n    1 / 0\n",
    "prog/inner/rules.toml": "a = 1\n",
    "alone.py": "import prog.inner.deep as deep\n",
}


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO(b"#!/usr/bin/env python3\n")
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive("/gone/x.pyz", packed({n: t.encode() for n, t in FILES.items()}))
    sys.meta_path.insert(0, archive)  # type: ignore[arg-type]
    yield archive
    sys.meta_path.remove(archive)  # type: ignore[arg-type]
    for name in [name for name in sys.modules if name.split(".")[0] in ("prog", "alone")]:
        del sys.modules[name]


def test_modules_packages_and_files(archive: Archive) -> None:
    alone = importlib.import_module("alone")
    assert alone.deep.version == 7
    assert alone.deep.where == "/gone/x.pyz/prog/inner/deep.py"
    assert sys.modules["prog"].__path__ == ["/gone/x.pyz/prog"]
    assert pkgutil.get_data("prog.inner", "rules.toml") == b"a = 1\n"
    with pytest.raises(ImportError):
        importlib.import_module("prog.nothing")
    with pytest.raises(OSError, match="no such file in the archive"):
        archive.get_data("/gone/x.pyz/prog/none.toml")


def test_tracebacks_show_lines(archive: Archive) -> None:
    try:
        importlib.import_module("prog.inner.deep").fail()
    except ZeroDivisionError:
        assert "1 / 0" in traceback.format_exc()


def test_compiled_files_are_used_if_this_python_made_them() -> None:
    compiled = marshal.dumps(compile("made = 'compiled'", "x", "exec"))
    for magic, made in ((importlib.util.MAGIC_NUMBER, "compiled"), (b"\0\0\r\n", "source")):
        data = {"m.py": b"made = 'source'", "m.pyc": magic + bytes(12) + compiled}
        spec = Archive("/gone/x.pyz", packed(data)).find_spec("m")
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        spec.loader.exec_module(module)
        assert module.made == made


@pytest.mark.parametrize("size", [0, 10, 21, 22, 100, -1, -22, -60])
def test_an_archive_that_was_cut_is_none(size: int) -> None:
    whole = packed({name: text.encode() for name, text in FILES.items()})
    with pytest.raises(ValueError, match="zip|stored"):
        Archive("/x", whole[:size])


def test_what_build_pyz_did_not_pack_is_left_to_others() -> None:
    with pytest.raises(ValueError, match="stored"):
        Archive("/x", packed({"m.py": b"x = 1\n" * 100}, zipfile.ZIP_DEFLATED))
