"""What the tools for environments do with those on this machine: local runtimes.

A project's file is a stranger's: its mounts stay inside the project, its commands run only where
the agent says that its user wants them to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.client.api import Client
from codewire.client.reach.route import local_route
from codewire.errors import CodewireError, RequestError
from codewire.mcp.tool import MAX_BYTES, listing, to_json
from codewire.runtimes import consent, instances, making, records, targets
from codewire.runtimes.capture import Outcome, run_captured
from codewire.runtimes.engine import EngineError, Options
from codewire.runtimes.files import DOWNLOAD_SCRIPT, LIST_SCRIPT, UPLOAD_SCRIPT, parse_listing
from codewire.runtimes.membership import come_back, leave_network
from codewire.runtimes.setup import INSTALL, STARTUP, launch_step, setup_sessions
from codewire.runtimes.shown import instance_json

if TYPE_CHECKING:
    from codewire.mcp.calls import CallClient
    from codewire.runtimes.records import Instance
    from codewire.runtimes.spec import Spec

LOCAL = "local"
# For scripts of ours: a directory's list, a file.
SCRIPT_SECONDS = 60.0
# Of a step's log, as much of its end as is told with it.
LOG_LINES = 50
# What a hosted environment has and a runtime has not.
HOSTED_ONLY = ("preset_id", "ttl", "repo_url", "branch")


def find(args: dict[str, Any]) -> Instance | None:
    """Return the runtime an environment's id means, None where there is none of that name."""
    return records.find(args["environment_id"].strip())


def list_environments(args: dict[str, Any]) -> str | list[str]:
    """Return the runtimes as JSON, filtered by type (always local) and state."""
    found = [_shown(each) for each in records.load().values()]
    if args["type"] not in (None, LOCAL):
        found = []
    if args["state"]:
        found = [each for each in found if each["state"] == args["state"].lower()]
    return listing(found, hint="ask by state") if found else "No environments found."


def _shown(instance: Instance) -> dict[str, Any]:
    shown = instance_json(instance, instances.state_of(instance))
    # Values may be secrets.
    env = sorted(shown.pop("env", {}))
    named = {"env_names": env} if env else {}
    head = {"id": instance.name, "type": LOCAL, "state": shown["status"]}
    return {**head, **shown, **named}


def create(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Make a runtime; say what of its file's commands has not run."""
    given = [name for name in HOSTED_ONLY if args[name]]
    if given:
        raise RequestError(f"{given[0]} is for hosted environments; a local one has no use for it")
    if args["network"]:
        raise RequestError("network: local runtimes do not join networks in this version")
    warnings: list[str] = []
    project = making.project_directory(args["path"] or ".")
    file = _spec_of_file(args, project, warnings.append)
    spec = _merged(file, args)
    if not (spec.image or spec.preset):
        raise RequestError(
            "one of preset_slug or image is required, or an image in the project's codewire.yaml"
        )
    backend = _backend(args["backend"])
    consent.check_sockets(project)
    mounts = consent.resolve_mounts(spec.mounts, project, ())
    others = {
        f"include_{scope}_secrets": False
        for scope in ("org", "user")
        if not args[f"include_{scope}_secrets"]
    }
    instance = making.new_instance(spec, project, backend, name=args["name"] or "", others=others)
    instances.create(instance, Options(mounts=mounts))
    notes = [*warnings, *_set_up(client, instance, args)]
    return [f"Environment created:\n{to_json(_shown(instance))}", *notes]


def _spec_of_file(args: dict[str, Any], project: str, warn: Any) -> Spec:
    """Return what the project's file says; a preset_slug that is a file's name chooses another."""
    name = args["file"] or making.PRESET_FILE
    slug = args["preset_slug"] or ""
    found = {preset["slug"]: preset["file"] for preset in _preset_files(project)}
    if not args["file"] and slug in found:
        return making.project_spec(os.path.join(project, found[slug]), warn, is_named=True)
    spec = making.project_spec(os.path.join(project, name), warn, is_named=bool(args["file"]))
    return spec.merged(preset=slug)


def _merged(spec: Spec, args: dict[str, Any]) -> Spec:
    from codewire.runtimes.spec import canonical_agent, check_variable

    env = dict(pair.partition("=")[::2] for pair in args["env_vars"] or [])
    for key in env:
        check_variable(key)
    return spec.merged(
        image=args["image"],
        install=args["install_command"],
        startup=args["startup_script"],
        secrets=args["secret_project"],
        tools=(canonical_agent(args["agent"]),) if args["agent"] else (),
        env=env,
        **{key: args[key] or 0 for key in ("cpu", "memory", "disk")},
    )


def _backend(name: str) -> str:
    """Return the engine that `local` means: the first that is installed. Raises RequestError."""
    if name != LOCAL:
        return name
    for backend in ("docker", "podman", "incus"):
        try:
            instances.engine_of(backend).require()
        except EngineError:
            continue
        return backend
    raise RequestError("no engine is installed here: docker, podman or incus")


def _set_up(client: CallClient, instance: Instance, args: dict[str, Any]) -> list[str]:
    """Run install and startup as far as they may; return what there is to say of it."""
    wanted = {INSTALL: args["install_command"], STARTUP: args["startup_script"]}
    node = _node()
    for phase in (INSTALL, STARTUP):
        script = getattr(instance, phase)
        if not script:
            continue
        if not (args["run_setup"] or wanted[phase]):
            return [
                f"not run: {phase} of the project's file ({script!r}). Show it to your user; when "
                "they agree, run it with codewire_exec_in_environment, or create with run_setup"
            ]
        session = launch_step(node, instance, phase, script)
        if phase == INSTALL and (failed := _install_failed(client, node, session)):
            return [f"{failed}; codewire_get_environment_logs shows why. startup was not run"]
    return []


def _install_failed(client: CallClient, node: Client, session: int) -> str:
    """Wait for the end of install; return how it failed, "" if it has not."""
    while not client.call_in_progress.is_over:
        try:
            found = node.wait(session, timeout_seconds=1)[0]
        except RequestError as error:
            if error.code != "timed_out":
                raise
            continue
        return "" if found.exit_code == 0 else f"install failed ({found.status})"
    return "install goes on, the call was cancelled"


def _node() -> Client:
    """Return a client of this machine's node: a set-up is its work, whatever the target is."""
    return Client(route=local_route())


def get(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Return one runtime as JSON."""
    return to_json(_shown(instance))


def start(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Start a runtime."""
    instances.start(instance)
    why = come_back(instance)
    state = instances.state_of(instance)
    return f"Environment {instance.name}: {state}" + (f"\n{why}" if why else "")


def stop(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Stop a runtime."""
    instances.stop(instance)
    return f"Environment {instance.name}: stopped"


def delete(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Remove a runtime; the target that meant it is this machine again."""
    instances.remove(instance)
    why = leave_network(instance)
    targets.forget(instance.name)
    return f"Environment {instance.name} deleted." + (f"\n{why}" if why else "")


def run(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Run one command; return its exit code and what it printed as JSON."""
    if not args["command"] or not args["command"][0]:
        raise RequestError("command is required")
    instances.require_running(instance)
    records.touch(instance)
    done = _captured(
        client,
        instance,
        args["command"],
        directory=args["working_dir"] or instance.workdir,
        seconds=float(args["timeout"] or 0),
    )
    shown: dict[str, Any] = {"exit_code": done.code}
    shown["stdout"] = done.stdout.decode("utf-8", "replace")
    shown["stderr"] = done.stderr.decode("utf-8", "replace")
    if done.left_out:
        shown["truncated"] = f"{done.left_out} bytes are left out"
    if done.note:
        shown["note"] = done.note
    return to_json(shown)


def _captured(
    client: CallClient, instance: Instance, command: list[str], **options: Any
) -> Outcome:
    is_over = lambda: client.call_in_progress.is_over  # noqa: E731 - read anew each time
    return run_captured(instance, command, is_over=is_over, **options)


def _script(
    client: CallClient, instance: Instance, script: str, path: str, **options: Any
) -> Outcome:
    """Run a script on a path inside. Raises RequestError with its words if it fails."""
    if not path:
        raise RequestError("path is required")
    instances.require_running(instance)
    command = ["/bin/sh", "-c", script, "sh", path]
    done = _captured(client, instance, command, seconds=SCRIPT_SECONDS, **options)
    if done.code:
        words = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        raise RequestError(words or f"{path}: exit status {done.code}")
    return done


def list_files(client: CallClient, instance: Instance, args: dict[str, Any]) -> str | list[str]:
    """Return a directory's entries as JSON."""
    done = _script(client, instance, LIST_SCRIPT, args["path"], most=8 * MAX_BYTES)
    found = sorted(parse_listing(done.stdout), key=lambda entry: str(entry["name"]))
    entries = [
        {("mod_time" if key == "mtime" else key): value for key, value in entry.items()}
        for entry in found
    ]
    return listing(entries, hint="list a directory below") if entries else "No files found."


def upload(client: CallClient, instance: Instance, args: dict[str, Any]) -> str:
    """Write a text to a file inside."""
    data = args["content"].encode("utf-8", "replace")
    _script(client, instance, UPLOAD_SCRIPT, args["path"], stdin=data)
    return f"Uploaded {len(data)} bytes to {args['path']}"


def download(client: CallClient, instance: Instance, args: dict[str, Any]) -> list[str]:
    """Return a file's text; of a long one the beginning, and how much is left out."""
    done = _script(client, instance, DOWNLOAD_SCRIPT, args["path"], most=MAX_BYTES)
    rest = [to_json({"left_out_bytes": done.left_out})] if done.left_out else []
    return [done.stdout.decode("utf-8", "replace"), *rest]


def logs(client: CallClient, instance: Instance, args: dict[str, Any]) -> str | list[str]:
    """Return the steps of a set-up as JSON, each with the end of its output."""
    node = _node()
    found = []
    for phase, session in setup_sessions(node, instance):
        tail = "".join(chunk.text for chunk in node.logs(session.id, tail=LOG_LINES))
        code = session.exit_code
        status = "started" if code is None else "failed" if code else "completed"
        head = {"id": str(session.id), "environment_id": instance.name, "phase": phase}
        found.append({**head, "status": status, "message": tail, "created_at": session.created_at})
    return listing(found, hint="read the sessions' output") if found else "No logs found."


def list_presets(args: dict[str, Any]) -> str | list[str]:
    """Return the presets that stand in a project's files as JSON."""
    found = _preset_files(making.project_directory(args["path"] or "."))
    return listing([_preset(each) for each in found], hint="") if found else "No presets found."


def _preset_files(project: str) -> list[dict[str, str]]:
    """Return slug and file of each preset: codewire.yaml, and NAME.codewire.yaml."""
    ending = f".{making.PRESET_FILE}"
    names = sorted(name for name in os.listdir(project) if name.endswith(ending))
    found = [{"slug": name[: -len(ending)], "file": name} for name in names if name != ending]
    if os.path.isfile(os.path.join(project, making.PRESET_FILE)):
        found.insert(0, {"slug": "codewire", "file": making.PRESET_FILE})
    return [{**each, "path": os.path.join(project, each["file"])} for each in found]


def _preset(found: dict[str, str]) -> dict[str, Any]:
    notes: list[str] = []
    try:
        spec = making.project_spec(found["path"], notes.append, is_named=True)
    except CodewireError as error:
        return {**found, "error": str(error)}
    keys = ("image", "install", "startup", "cpu", "memory", "disk", "agent")
    shown = {key: getattr(spec, key) for key in keys if getattr(spec, key)}
    return {**found, **shown, **({"warnings": notes} if notes else {})}
