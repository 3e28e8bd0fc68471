"""`cw local`: containers on this machine that sessions run in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.runtimes.records import Instance


def local(args: dict[str, Any], context: Context) -> int:
    """Run agents in containers on this machine, made by docker, podman or incus.

    Usage:
      cw local [options] [<command>...]

    Commands:
      cw local create            Make a container for this project, from codewire.yaml
      cw local list              List them
      cw local info [<name>]     Show one
      cw local start [<name>]    Start a stopped one
      cw local stop [<name>]     Stop one; its files stay
      cw local rm [<name>]       Remove one
      cw local ports [<name>]    List its published ports
      cw local logs [<name>]     Print what its set-up printed
      cw local files             Copy files in and out: upload, download, list
      cw local doctor            Check engines, records and containers
      cw local prune             Remove containers without a record, records without a container

    Where no name is given, the one of this directory is meant.

    Examples:
      cw local create --backend docker --image python:3.12
      cw launch --on my-app -- claude
      cw exec --on my-app -- npm test
      cw help local create
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw local"')
    output.write(table.command_help("local"))
    return 0


def list_instances(args: dict[str, Any], context: Context) -> int:
    """List the local runtimes.

    Usage:
      cw local list [options]

    Options:
      -j, --json                 Print them as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local list
    """
    from codewire.commands.runtime.showing import ports_text, print_columns
    from codewire.runtimes.instances import states_of
    from codewire.runtimes.records import load
    from codewire.runtimes.shown import instance_json

    known = list(load().values())
    found = list(zip(known, states_of(known), strict=True))
    if output.wants_json(args):
        output.show_json([instance_json(*each) for each in found])
        return 0
    if not found:
        output.line("No local instances found.")
        return 0
    rows = [["NAME", "BACKEND", "STATE", "PORTS", "IMAGE", "REPO"]]
    rows += [
        [
            each.name,
            each.engine or each.backend,
            state,
            ports_text(each) or "--",
            each.image,
            each.repo_path,
        ]
        for each, state in found
    ]
    print_columns(rows)
    return 0


def info(args: dict[str, Any], context: Context) -> int:
    """Show one local runtime.

    Usage:
      cw local info [options] [<name>]

    Options:
      -j, --json                 Print it as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local info my-app
    """
    from codewire.commands.runtime.showing import print_fields
    from codewire.runtimes.instances import state_of
    from codewire.runtimes.shown import instance_json

    instance = _named(args)
    state = state_of(instance)
    if output.wants_json(args):
        output.show_json(instance_json(instance, state))
    else:
        print_fields(instance, state)
    return 0


def start(args: dict[str, Any], context: Context) -> int:
    """Start a stopped local runtime.

    Usage:
      cw local start [options] [<name>]

    Options:
      -j, --json                 Print it as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local start my-app
    """
    from codewire.runtimes import instances
    from codewire.runtimes.membership import come_back

    instance = _named(args)
    instances.start(instance)
    if why := come_back(instance):
        output.notice(why)
    return _done(args, instance, "started")


def stop(args: dict[str, Any], context: Context) -> int:
    """Stop a local runtime: what runs in it ends, its files stay.

    Usage:
      cw local stop [options] [<name>]

    Options:
      -j, --json                 Print it as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local stop my-app
    """
    from codewire.runtimes import instances

    instance = _named(args)
    instances.stop(instance)
    return _done(args, instance, "stopped")


def remove(args: dict[str, Any], context: Context) -> int:
    """Remove a local runtime: its container with all that is not in the project directory.

    Usage:
      cw local rm [options] [<name>]

    Options:
      -j, --json                 Print {"name", "removed"} as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local rm my-app
    """
    from codewire.commands.runtime.targets import forget_target
    from codewire.runtimes import instances
    from codewire.runtimes.membership import leave_network

    instance = _named(args)
    instances.remove(instance)
    if why := leave_network(instance):
        output.notice(why)
    forget_target(instance.name)
    if output.wants_json(args):
        output.show_json({"name": instance.name, "removed": True})
    else:
        output.note(f"  ✓ Local instance removed: {instance.name}.")
    return 0


def ports(args: dict[str, Any], context: Context) -> int:
    """List the ports of a local runtime that are published on this machine.

    Usage:
      cw local ports [options] [<name>]

    Options:
      -j, --json                 Print them as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local ports my-app
    """
    from codewire.commands.runtime.showing import print_columns
    from codewire.runtimes.shown import port_json

    instance = _named(args)
    if output.wants_json(args):
        output.show_json([port_json(port) for port in instance.ports])
    elif not instance.ports:
        output.line("No ports configured.")
    else:
        rows = [["HOST", "GUEST", "LABEL"]]
        rows += [
            [f"{port.address}:{port.published}", str(port.guest), port.label or "--"]
            for port in instance.ports
        ]
        print_columns(rows)
    return 0


def logs(args: dict[str, Any], context: Context) -> int:
    """Print what the set-up of a local runtime (install, startup) has printed.

    The set-up runs in sessions of this machine's node, named after the runtime.

    Usage:
      cw local logs [options] [<name>]

    Options:
      -f, --follow   Go on printing until it has ended

    Examples:
      cw local logs my-app
    """
    from codewire.commands.runtime.setup import print_logs

    return print_logs(_named(args), bool(args["--follow"]))


def _named(args: dict[str, Any]) -> Instance:
    from codewire.runtimes.records import resolve

    return resolve((args["<name>"] or "").strip() or None)


def _done(args: dict[str, Any], instance: Instance, what: str) -> int:
    from codewire.runtimes.instances import state_of
    from codewire.runtimes.shown import instance_json

    if output.wants_json(args):
        output.show_json(instance_json(instance, state_of(instance)))
    else:
        output.note(f"  ✓ Local instance {what}: {instance.name}.")
    return 0
