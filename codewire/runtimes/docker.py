"""Docker, and podman as docker, by their command line (spec/runtimes.md 2).

What differs from upstream: an entry point of the image is set aside, the state is looked at after
the start, stop is orderly and quick, paths may hold colons, ports are published.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from codewire.runtimes import engine
from codewire.runtimes.engine import (
    CREATE_SECONDS,
    GONE,
    IDLE_SCRIPT,
    LABEL,
    MISSING,
    OWNER_LABEL,
    RUNNING,
    STATE_SECONDS,
    UNKNOWN,
    WORKSPACE,
    EngineError,
    Stray,
    call,
    failure,
    must,
)

if TYPE_CHECKING:
    from codewire.runtimes.engine import Exec, Options
    from codewire.runtimes.records import Instance
    from codewire.runtimes.spec import Port

# How long a container must have run to be believed: an image without /bin/sh ends at once.
SETTLE_SECONDS = 0.3
# The script's own trap ends it at once; a program that took over gets a moment.
STOP_SECONDS = 1


class Docker:
    """The engine behind `--backend docker`; `program` is docker or podman."""

    backend = "docker"

    def __init__(self, program: str = "docker") -> None:
        self.program = program

    def require(self) -> None:
        """Raise EngineError if the program is not on PATH."""
        engine.find_program(self.program, self.program)

    def check(self, instance: Instance) -> None:
        """Nothing to refuse: a disk's size is not Docker's to limit, and is said by the caller."""

    def create_argv(self, instance: Instance, options: Options) -> list[str]:
        """Return the argv that makes the container."""
        name = instance.runtime_name
        argv = [self.program, "create", "--name", name, "--hostname", name]
        argv += ["--entrypoint", "/bin/sh", "--workdir", WORKSPACE]
        argv += ["--mount", _mount(instance.repo_path, WORKSPACE, False)]
        for source, target, readonly in options.mounts:
            argv += ["--mount", _mount(source, target, readonly)]
        argv += ["--label", f"{LABEL}={instance.name}", "--label", f"{OWNER_LABEL}={options.owner}"]
        if options.user:
            argv += ["--user", options.user]
        if instance.cpu:
            argv += ["--cpus", cpus(instance.cpu)]
        if instance.memory:
            argv += ["--memory", f"{instance.memory}m"]
        for port in instance.ports:
            argv += ["--publish", _publish(port)]
        env = {**dict(options.env), **instance.env}
        for key in sorted(env):
            argv += ["--env", f"{key}={env[key]}"]
        return [*argv, instance.image, "-lc", IDLE_SCRIPT]

    def create(self, instance: Instance, options: Options) -> None:
        """Make the container and start it; what was made goes where that fails."""
        must(self.create_argv(instance, options), CREATE_SECONDS)
        try:
            self.start(instance)
        except EngineError:
            call([self.program, "rm", "-f", instance.runtime_name])
            raise

    def start(self, instance: Instance) -> None:
        """Start the container and see that it runs on."""
        try:
            must([self.program, "start", instance.runtime_name])
        except EngineError as error:
            if 'exec: "/bin/sh"' in str(error):
                raise EngineError(
                    f"the image {instance.image} has no /bin/sh: a runtime needs it and sleep\n"
                    f"{error}"
                ) from None
            raise
        deadline = time.monotonic() + SETTLE_SECONDS
        while (state := self.state(instance)) == RUNNING and time.monotonic() < deadline:
            time.sleep(SETTLE_SECONDS / 3)
        if state not in (RUNNING, UNKNOWN):
            logs = call([self.program, "logs", "--tail", "5", instance.runtime_name]).output
            raise EngineError(
                f"the container {instance.runtime_name} ended at once ({state}): its image needs "
                "/bin/sh and sleep" + (f"\n{logs}" if logs else "")
            )

    def stop(self, instance: Instance) -> None:
        """Stop the container; one that is stopped already is no error."""
        must([self.program, "stop", "-t", str(STOP_SECONDS), instance.runtime_name])

    def remove(self, instance: Instance) -> None:
        """Remove the container and its anonymous volumes; one that has gone is no error."""
        result = call([self.program, "rm", "-f", "-v", instance.runtime_name])
        if result.code and not result.says(*GONE):
            raise EngineError(failure(f"{self.program} rm {instance.runtime_name}", result))

    def state(self, instance: Instance) -> str:
        """Return the container's state in one lower-case word."""
        result = call(
            [self.program, "inspect", "--format", "{{.State.Status}}", instance.runtime_name],
            STATE_SECONDS,
        )
        if not result.code:
            return result.output.lower().split("\n")[-1] or UNKNOWN
        return MISSING if result.says(*GONE) else UNKNOWN

    def exec_argv(self, instance: Instance, run: Exec) -> list[str]:
        """Return the argv that runs a command inside."""
        argv = [self.program, "exec"]
        argv += ["-i"] if run.is_interactive else []
        argv += ["-t"] if run.has_terminal else []
        argv += ["-u", run.user] if run.user else []
        argv += ["-w", run.directory] if run.directory else []
        for key, value in run.env:
            argv += ["-e", f"{key}={value}"]
        return [*argv, instance.runtime_name, *run.command]

    def strays(self, owner: str) -> list[Stray]:
        """Return the containers with our label for this owner."""
        output = must(
            [self.program, "ps", "-a", "--filter", f"label={OWNER_LABEL}={owner}",
             "--format", "{{json .}}"]
        )  # fmt: skip
        return [_stray(line) for line in output.splitlines() if line.startswith("{")]


def cpus(millicores: int) -> str:
    """Return millicores as Docker's `--cpus` wants them: whole where they are, else `1.500`."""
    whole, rest = divmod(millicores, 1000)
    return f"{whole}.{rest:03d}" if rest else str(whole)


def _mount(source: str, target: str, readonly: bool) -> str:
    """Return the value of --mount: one record of CSV, so that any path can be said."""
    parts = ["type=bind", f"source={source}", f"target={target}"]
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([*parts, "readonly"] if readonly else parts)
    return text.getvalue()


def _publish(port: Port) -> str:
    address = f"[{port.address}]" if ":" in port.address else port.address
    return f"{address}:{port.published}:{port.guest}"


def _stray(line: str) -> Stray:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = {}
    labels = entry.get("Labels") or ""
    if isinstance(labels, str):
        labels = dict(part.partition("=")[::2] for part in labels.split(","))
    names = entry.get("Names") or ""
    name = names[0] if isinstance(names, list) and names else str(names)
    state = str(entry.get("State") or entry.get("Status") or UNKNOWN).lower()
    return Stray(name, str(labels.get(LABEL, "")), state)
