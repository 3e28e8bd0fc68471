"""`cw use` and `cw current`: where commands run when nothing else is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context


def use(args: dict[str, Any], context: Context) -> int:
    """Make a local runtime the target of launch, exec and of bare session ids; `local` undoes it.

    Usage:
      cw use [options] <target>

    Examples:
      cw use my-app
      cw exec -- pwd
      cw use local
    """
    from codewire.runtimes import targets

    target = targets.choose(args["<target>"])
    targets.set_current(target)
    output.note(f"  ✓ Current target set to {target.name}.")
    return 0


def current(args: dict[str, Any], context: Context) -> int:
    """Show the current target; exit 1 when it is missing.

    Usage:
      cw current [options]

    Options:
      -v, --verbose              With its details
      -j, --json                 Print it as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw current
    """
    from codewire.config import read_toml
    from codewire.paths import data_dir
    from codewire.runtimes import targets
    from codewire.runtimes.instances import state_of
    from codewire.runtimes.records import find

    target = targets.current()
    instance = None if target.is_this_machine else find(target.ref)
    is_missing = not target.is_this_machine and instance is None
    if target.kind == targets.ENVIRONMENT:
        state, is_missing = "not in this version", True
    else:
        state = "missing" if is_missing else state_of(instance) if instance else ""
    is_missing = is_missing or state == "missing"
    file = read_toml(data_dir().config)
    network = file.get("relay_selected_network") or file.get("relay_network") or ""
    if output.wants_json(args):
        shown = {**target._asdict(), "state": state, "network": network}
        output.show_json({key: value for key, value in shown.items() if value})
    elif args["--verbose"]:
        pairs = [("Kind", target.kind), ("Network", network), ("Target", target.name)]
        if instance is not None:
            pairs += [("Backend", instance.backend), ("Runtime", instance.runtime_name)]
        pairs.append(("State", state))
        for label, value in pairs:
            if value:
                output.line(f"{label + ':':<9} {value}")
    else:
        backend = f" [{instance.backend}]" if instance else ""
        words = f"{target.name}{backend} {state}".rstrip()
        output.line(words + (f"  network: {network}" if network else ""))
    return 1 if is_missing else 0


def forget_target(name: str) -> None:
    """Go back to this machine if the current target is a runtime that has just gone."""
    from codewire.runtimes import targets

    if targets.forget(name):
        output.note("  ✓ Current target set to local.")
