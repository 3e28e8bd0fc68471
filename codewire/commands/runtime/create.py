"""`cw local create`: a container for a project, from its codewire.yaml and the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.runtimes.engine import Options
    from codewire.runtimes.records import Instance
    from codewire.runtimes.spec import Spec


def create(args: dict[str, Any], context: Context) -> int:
    """Make and start a container for a project, which is mounted at /workspace.

    What it is made from stands in the project's codewire.yaml; flags override it. Its install and
    startup commands are shown and run once you agree. Ports are published at 127.0.0.1. Nothing of
    your logins goes in unless named with --with.

    Usage:
      cw local create [options]

    Options:
          --backend <name>         docker, podman or incus (required)
          --name <name>            Name (default: made from the directory's name)
          --path <dir>             The project [default: .]
          --file <file>            Its preset, from the project [default: codewire.yaml]
          --spec <file>            JSON instead of that file; - is stdin
          --preset <slug>          Preset, taken for the image where there is none
          --image <image>          Image
          --install <command>      Run once, in /workspace
          --startup <command>      Run at the end, as a session that goes on
          --env <KEY=VALUE>...     Set a variable inside; repeatable
          --port <port>...         Publish [[address:]host:]port; repeatable
          --cpu <n>                Millicores
          --memory <n>             MB
          --disk <n>               GB (incus)
          --agent <name>           Agent, kept in the record
          --secrets <project>      Secrets, kept in the record
          --no-org-secrets         Kept in the record
          --no-user-secrets        Kept in the record
          --with <login,...>       Give it logins of yours: claude, codex, gh, git, ssh
          --user <uid:gid>         Run as this user, not the image's
          --allow-mount <path>...  Let the file mount this directory outside the project
          --network <name>         Its node joins this network of your relay
          --no-network             It joins none, also where one is selected
          --no-setup               Run neither install nor startup
          --no-node                Sessions run by exec from this machine's node, also where a
                                   node of their own could be put inside
          --write-preset           Write what was used into the project's codewire.yaml
      -y, --yes                    Do not ask
      -j, --json                   Print it as JSON
      -o, --output <text|json>     The same choice, in words

    Examples:
      cw local create --backend docker
      cw local create --backend docker --image python:3.12 --port 8000
      cw local create --backend docker --network project-alpha
      cw local create --backend incus --image images:debian/12 --with git,ssh
    """
    if not args["--backend"]:
        raise UsageError("--backend is required")
    if args["--network"] and args["--no-network"]:
        raise UsageError("use either --network or --no-network, not both")
    from codewire.commands.runtime.joining import join, plan_joining
    from codewire.commands.runtime.setup import run_setup
    from codewire.runtimes import instances
    from codewire.runtimes.making import project_directory
    from codewire.runtimes.records import find
    from codewire.runtimes.shown import instance_json

    project = project_directory(args["--path"])
    spec, path = _spec(args, project)
    instance = _instance(args, project, spec)
    options = _options(args, project, spec)
    runs_setup = not args["--no-setup"] and bool(spec.install or spec.startup)
    if runs_setup:
        _ask(args, spec, path)
    joining = plan_joining(args, context, instance.name)
    if instance.disk and instance.backend != "incus":
        output.note("  ! --disk has no effect with docker")
    instances.create(instance, options)
    _announce(args, instance)
    code = join(instance, joining) if joining is not None else 0
    if runs_setup:
        code = run_setup(instance) or code
    if args["--write-preset"]:
        _write(project, args["--file"], spec)
    if output.wants_json(args):
        made = find(instance.name) or instance
        output.show_json(instance_json(made, instances.state_of(made)))
    return code


def _spec(args: dict[str, Any], project: str) -> tuple[Spec, str]:
    """Return what file and flags ask for, and what the file is called."""
    from codewire.runtimes.making import PRESET_FILE, project_spec
    from codewire.runtimes.spec import canonical_agent, parse_port
    from codewire.runtimes.yamlfile import read_json_spec

    path = os.path.join(project, args["--file"])
    if args["--spec"]:
        path = "the spec"
        spec = read_json_spec(_spec_text(args["--spec"]), _warn)
    else:
        spec = project_spec(path, _warn, is_named=args["--file"] != PRESET_FILE)
    added = [parse_port(text) for text in args["--port"]]
    chosen = {key: args[f"--{key}"] or 0 for key in ("cpu", "memory", "disk")}
    tools = (canonical_agent(args["--agent"]),) if args["--agent"] else ()
    return (
        spec.merged(
            preset=args["--preset"],
            image=args["--image"],
            install=args["--install"],
            startup=args["--startup"],
            secrets=args["--secrets"],
            tools=tools,
            ports=(*spec.ports, *added) if added else (),
            env=_env(args["--env"]),
            **chosen,
        ),
        path,
    )


def _spec_text(path: str) -> str:
    import sys

    from codewire.runtimes.yamlfile import MAX_BYTES, read_text

    if path != "-":
        try:
            return read_text(path)
        except FileNotFoundError:
            raise CodewireError(f"open {path}: no such file or directory") from None
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin is not None else b""
    if len(data) > MAX_BYTES:
        raise CodewireError(f"the spec on stdin is larger than {MAX_BYTES} bytes")
    return data.decode("utf-8", "replace")


def _env(entries: list[str]) -> dict[str, str]:
    from codewire.runtimes.spec import check_variable

    found = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not key or not equals:
            raise UsageError(f'invalid --env format "{entry}", expected KEY=val')
        check_variable(key)
        found[key] = value
    return found


def _instance(args: dict[str, Any], project: str, spec: Spec) -> Instance:
    from codewire.runtimes.making import new_instance

    return new_instance(
        spec,
        project,
        args["--backend"],
        name=args["--name"] or "",
        node="exec" if args["--no-node"] else "",
        others=_record_flags(args, spec),
    )


def _record_flags(args: dict[str, Any], spec: Spec) -> dict[str, bool]:
    org = False if args["--no-org-secrets"] else spec.org_secrets
    user = False if args["--no-user-secrets"] else spec.user_secrets
    chosen = {"include_org_secrets": org, "include_user_secrets": user}
    return {key: value for key, value in chosen.items() if value is not None}


def _options(args: dict[str, Any], project: str, spec: Spec) -> Options:
    """Return the mounts, logins and user of the container, each looked at first."""
    from codewire.runtimes import consent, hostlogins
    from codewire.runtimes.engine import Options

    consent.check_sockets(project)
    mounts = consent.resolve_mounts(spec.mounts, project, args["--allow-mount"])
    logins = hostlogins.collect(args["--with"])
    return Options(
        user=args["--user"] or "", mounts=(*mounts, *logins.mounts), env=tuple(logins.env)
    )


def _ask(args: dict[str, Any], spec: Spec, path: str) -> None:
    from codewire.commands.runtime.asking import confirm
    from codewire.runtimes.consent import consent_text

    if args["--yes"]:
        return
    output.note(consent_text(spec, path))
    if not confirm("Run this? [y/N] "):
        raise CodewireError("nothing was made; --no-setup makes the container without running it")


def _announce(args: dict[str, Any], instance: Instance) -> None:
    output.note(f"  ✓ Local instance created: {instance.name}.")
    if output.wants_json(args):
        return
    from codewire.term.width import printable

    pairs = (
        ("Backend", instance.engine or instance.backend),
        ("Runtime", instance.runtime_name),
        ("Image", instance.image),
        ("Repo", instance.repo_path),
        ("Mount", instance.workdir),
    )
    for label, value in pairs:
        output.line(f"{label + ':':<11}{printable(value)}")


def _write(project: str, file: str, spec: Spec) -> None:
    from codewire.runtimes.yamlwriting import write_spec

    path = os.path.join(project, file)
    write_spec(path, spec, replaces=True)
    output.note(f"  ✓ {file} written: {path}")


def _warn(text: str) -> None:
    output.note(f"  ! {text}")
