"""`cw local doctor` and `cw local prune`: what a crash, or somebody else, has left of runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.runtimes.engine import Stray
    from codewire.runtimes.instances import Stale


def prune(args: dict[str, Any], context: Context) -> int:
    """Remove containers of ours that have no record, and records whose container has gone.

    Both can be left by a crash. Shows them first and asks.

    Usage:
      cw local prune [options]

    Options:
          --dry-run              Only show them
      -y, --yes                  Do not ask
      -j, --json                 Print {"containers", "records", "removed"} as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local prune --dry-run
    """
    from codewire.commands.runtime.asking import confirm
    from codewire.runtimes import instances

    strays, stale = instances.find_strays(), instances.find_stale()
    count, is_json = len(strays) + len(stale), output.wants_json(args)
    if not is_json:
        _show(strays, stale)
    if count and not args["--dry-run"]:
        if not args["--yes"] and not confirm(f"Remove {count}? [y/N] "):
            raise CodewireError("nothing was removed")
        _remove(strays, stale)
    if is_json:
        removed = 0 if args["--dry-run"] else count
        output.show_json({**_json(strays, stale), "removed": removed})
    elif not count:
        output.line("Nothing to prune.")
    elif args["--dry-run"]:
        output.line(f"Would remove {count} (dry run).")
    else:
        output.note(f"  ✓ Removed {count}.")
    return 0


def _show(strays: list[tuple[str, Stray]], stale: list[Stale]) -> None:
    for backend, stray in strays:
        output.line(f"container  {stray.runtime_name} ({backend}, {stray.state}): no record")
    for each in stale:
        output.line(f"record     {each.instance.name}: its container is {each.state}")


def _remove(strays: list[tuple[str, Stray]], stale: list[Stale]) -> None:
    from codewire.commands.runtime.targets import forget_target
    from codewire.runtimes import instances, records
    from codewire.runtimes.membership import leave_network

    for backend, stray in strays:
        instances.remove_stray(backend, stray)
    for each in stale:
        records.remove(each.instance.name)
        if why := leave_network(each.instance):
            output.notice(why)
        forget_target(each.instance.name)


def _json(strays: list[tuple[str, Stray]], stale: list[Stale]) -> dict[str, Any]:
    return {
        "containers": [{"backend": backend, **stray._asdict()} for backend, stray in strays],
        "records": [{"name": each.instance.name, "status": each.state} for each in stale],
    }


def doctor(args: dict[str, Any], context: Context) -> int:
    """Check engines, records and containers; exit 1 if something is wrong.

    Usage:
      cw local doctor [options]

    Options:
      -j, --json                 Print {"engines", "containers", "records", "ok"} as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local doctor
    """
    from codewire.runtimes import instances, records

    used = {each.engine or each.backend for each in records.load().values()}
    engines = {backend: _trouble(backend) for backend in instances.BACKENDS}
    strays, stale = instances.find_strays(), instances.find_stale()
    is_well = not (
        strays or stale or any(engines[backend] for backend in used if backend in engines)
    )
    if output.wants_json(args):
        shown = [{"backend": name, "error": engines[name]} for name in engines]
        output.show_json({"engines": shown, **_json(strays, stale), "ok": is_well})
        return 0 if is_well else 1
    for backend, trouble in engines.items():
        mark = "✓" if not trouble else "✗" if backend in used else "-"
        output.line(f"  {mark} {backend}" + (f": {trouble}" if trouble else " answers"))
    for backend, stray in strays:
        output.line(
            f"  ✗ {stray.runtime_name} ({backend}, {stray.state}) has no record: "
            "'cw local prune' removes it"
        )
    for each in stale:
        name = each.instance.name
        output.line(f"  ✗ {name}: its container is {each.state}: 'cw local rm {name}' forgets it")
    return 0 if is_well else 1


def _trouble(backend: str) -> str:
    """Return why an engine cannot be used, in a line; "" if it answers."""
    from codewire.runtimes import instances
    from codewire.runtimes.engine import EngineError

    engine = instances.engine_of(backend)
    try:
        engine.require()
        engine.strays(instances.owner())
    except EngineError as error:
        return output.plain(str(error)).strip().split("\n")[-1]
    return ""
