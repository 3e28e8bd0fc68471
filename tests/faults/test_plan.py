"""How a sweep is planned from what strace reports, and how its table reads. No process here."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.calls import FAMILIES, Cell, cells_of, parse_cell
from tests.faults.scenario import Outcome
from tests.faults.strace import injection, places
from tests.faults.sweep import quick_cells
from tests.faults.table import BEGIN, END, put_into, table
from tests.support import REPOSITORY

MUTATIONS = runpy.run_path(str(Path(__file__).parent / "mutations"))["MUTATIONS"]

REPORT = """\
10  openat(AT_FDCWD, "/usr/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</usr/lib/x.so>
10  openat(AT_FDCWD, "<data>/token", O_RDONLY|O_CLOEXEC) = 3<<data>/token>
11  openat(AT_FDCWD, "<data>/kv.jsonl", O_RDONLY|O_CLOEXEC <unfinished ...>
10  write(4<anon_inode:[eventfd]>, "\\1\\0\\0\\0\\0\\0\\0\\0", 8) = 8
11  <... openat resumed>)  = -1 ENOENT (No such file or directory)
10  write(2<<data>/node.log>, "line\\n", 5) = 5
10  fcntl(5<socket:[1]>, F_GETFL)  = 0x2 (flags O_RDWR)
10  fcntl(5<socket:[1]>, F_DUPFD_CLOEXEC, 0) = 6<socket:[1]>
10  openat(AT_FDCWD, "<data>/kv.jsonl", O_RDONLY|O_CLOEXEC) = 3<<data>/kv.jsonl>
10  close(3) = 0
""".splitlines()


@pytest.mark.parametrize(
    ("family", "error", "found"),
    [
        ("open", "EMFILE", [1, 2, 3]),
        # Counted among those that have to do with the data directory: strace counts no others.
        ("open", "ENOSPC", [1, 2]),
        ("write", "ENOSPC", [1]),
        ("write", "ENOMEM", [1]),
        # F_GETFL is a call of the family, too, but not one that runs out of descriptors.
        ("dup", "EMFILE", [2]),
        ("clone", "EAGAIN", []),
    ],
)
def test_places_are_the_calls_that_can_fail_so(family: str, error: str, found: list[int]) -> None:
    assert places(REPORT, family, error) == found


def test_cells_are_a_single_fault_at_some_places_and_a_lasting_one() -> None:
    cells = cells_of("spawn", "worker", partial(places, REPORT), 2)
    of_open = [cell for cell in cells if (cell.family, cell.error) == ("open", "EMFILE")]
    assert [(cell.duration, cell.at) for cell in of_open] == [("once", 1), ("once", 3), ("2s", 1)]
    assert [cell for cell in cells if cell.family == "dup"] == [
        Cell("spawn", "worker", "dup", "EMFILE", "once", 2)
    ]


def test_cells_are_read_as_they_are_written() -> None:
    for cell in (*quick_cells(), Cell("stop", "worker", "open", "EIO", "once", 7)):
        assert parse_cell(str(cell)) == cell


@pytest.mark.parametrize(
    "text",
    [
        "spawn keeper clone EAGAIN",
        "spawn client clone EAGAIN once",
        "sleep keeper clone EAGAIN once",
        "spawn keeper clone ENOSPC once",
        "spawn keeper nothing ENOMEM once",
        "spawn keeper clone EAGAIN twice",
    ],
)
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cell|fail"):
        parse_cell(text)


def test_short_sweep_has_every_phase_and_process() -> None:
    assert len({(cell.phase, cell.process) for cell in quick_cells()}) == 12


def test_a_fault_on_the_disk_names_its_files() -> None:
    options = injection("open", "ENOSPC", "1+", ["/d/token"])
    assert options[-2:] == ["-P", "/d/token"]
    assert "inject=?openat,?open:error=ENOSPC:when=1+" in options
    assert "-P" not in injection("open", "EMFILE", "3")


def test_every_error_of_every_family_is_one_of_the_six() -> None:
    columns = table([]).splitlines()[0]
    assert {error for entry in FAMILIES.values() for error in entry.errors.split()} <= {
        word.strip() for word in columns.split("|")
    }


def outcome(error: str, duration: str, at: int, wrong: list[str], injected: str = "x") -> Outcome:
    cell = Cell("stop", "keeper", "open", error, duration, at)
    return Outcome(cell, "gevent", wrong=wrong, injected=injected)


def test_table_tells_kept_from_broken_and_untidy(tmp_path: Path) -> None:
    outcomes = [
        outcome("EMFILE", "once", 1, []),
        outcome("EMFILE", "once", 2, ["the keeper died", "traceback: X"]),
        outcome("EMFILE", "2s", 1, []),
        outcome("EIO", "once", 1, ["traceback: X"]),
        outcome("EROFS", "2s", 1, [], injected=""),
    ]
    row = "| stop | keeper | open |  |  | **-1/2** / + |  | **t** /   |   / . |"
    assert table(outcomes).splitlines()[2] == row
    document = tmp_path / "x.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(document, row)
    assert document.read_text() == f"before\n{BEGIN}\n{row}\n{END}\nafter\n"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_has_its_place(mutation: Any) -> None:
    """A list of mistakes that no longer fit the code would be noticed only when it is run."""
    assert (REPOSITORY / mutation.file).read_text().count(mutation.old) == 1
    assert (REPOSITORY / mutation.tests.split()[0]).exists()
