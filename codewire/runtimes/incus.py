"""Incus by its command line (spec/runtimes.md 3).

What differs from upstream: the workspace is mounted with shifted owners, the root disk's size
overrides the profile's, names are matched whole, variables are set.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.runtimes import engine
from codewire.runtimes.engine import (
    CREATE_SECONDS,
    GONE,
    LABEL,
    MISSING,
    OWNER_LABEL,
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

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
PROGRAM = "incus"
# `images:debian/12` is a remote of Incus's own and no registry with a port.
REGISTRY = re.compile(r"[^:]*\.[^:]*(:\d+)?|[^:]+:\d+|localhost")


class Incus:
    """The engine behind `--backend incus`."""

    backend = "incus"

    def require(self) -> None:
        """Raise EngineError if incus, or skopeo for its images, is not on PATH."""
        engine.find_program(PROGRAM, self.backend)

    def check(self, instance: Instance) -> None:
        """Raise CodewireError for a name or an image that Incus cannot have."""
        if not NAME.fullmatch(instance.name):
            raise CodewireError(
                f"invalid local instance name {instance.name!r} for incus: letters, digits and "
                "hyphens"
            )
        if _registry(instance.image)[0]:
            try:
                engine.find_program("skopeo", self.backend)
            except EngineError as error:
                cause = str(error).partition(": ")[2]
                raise EngineError(
                    f"skopeo is required for the incus backend when using OCI images: {cause}"
                ) from None

    def create(self, instance: Instance, options: Options) -> None:
        """Make the container, set it up, start it; what was made goes where that fails."""
        name = instance.runtime_name
        registry, rest = _registry(instance.image)
        image = rest
        if registry:
            remote = remote_name(registry)
            added = call([PROGRAM, "remote", "add", remote, f"https://{registry}",
                          "--protocol=oci"])  # fmt: skip
            if added.code and not added.says("already exists"):
                raise EngineError(failure(f"incus remote add {remote}", added))
            image = f"{remote}:{rest}"
        must([PROGRAM, "init", image, name], CREATE_SECONDS)
        try:
            for argv in self.setup_argvs(instance, options):
                must([PROGRAM, *argv])
            self.start(instance)
        except EngineError:
            call([PROGRAM, "delete", name, "--force"])
            raise

    def setup_argvs(self, instance: Instance, options: Options) -> list[list[str]]:
        """Return what is run between init and start, without the program."""
        name = instance.runtime_name
        steps: list[list[str]] = []
        if instance.cpu:
            cores = str(max(1, -(-instance.cpu // 1000)))
            steps.append(["config", "set", name, "limits.cpu", cores])
        if instance.memory:
            steps.append(["config", "set", name, "limits.memory", f"{instance.memory}MiB"])
        if instance.disk:
            steps.append(["config", "device", "override", name, "root",
                          f"size={instance.disk}GiB"])  # fmt: skip
        workspace = [f"source={instance.repo_path}", f"path={WORKSPACE}", "shift=true"]
        steps.append(["config", "device", "add", name, "workspace", "disk", *workspace])
        for number, (source, target, readonly) in enumerate(options.mounts):
            access = ["readonly=true"] if readonly else []
            steps.append(["config", "device", "add", name, f"mount{number}", "disk",
                          f"source={source}", f"path={target}", "shift=true", *access])  # fmt: skip
        for number, port in enumerate(instance.ports):
            address = f"[{port.address}]" if ":" in port.address else port.address
            steps.append(["config", "device", "add", name, f"port{number}", "proxy",
                          f"listen=tcp:{address}:{port.published}",
                          f"connect=tcp:127.0.0.1:{port.guest}"])  # fmt: skip
        env = {**dict(options.env), **instance.env}
        steps += [["config", "set", name, f"environment.{key}", env[key]] for key in sorted(env)]
        labels = ((LABEL, instance.name), (OWNER_LABEL, options.owner))
        return steps + [["config", "set", name, f"user.{key}", value] for key, value in labels]

    def start(self, instance: Instance) -> None:
        """Start the container; one that runs is no error."""
        result = call([PROGRAM, "start", instance.runtime_name])
        if result.code and not result.says("already running"):
            raise EngineError(failure(f"incus start {instance.runtime_name}", result))

    def stop(self, instance: Instance) -> None:
        """Stop the container; one that is stopped already is no error."""
        result = call([PROGRAM, "stop", instance.runtime_name, "--force"])
        if result.code and not result.says("already stopped"):
            raise EngineError(failure(f"incus stop {instance.runtime_name} --force", result))

    def remove(self, instance: Instance) -> None:
        """Remove the container; one that has gone is no error."""
        result = call([PROGRAM, "delete", instance.runtime_name, "--force"])
        if result.code and not result.says(*GONE):
            raise EngineError(failure(f"incus delete {instance.runtime_name} --force", result))

    def state(self, instance: Instance) -> str:
        """Return the container's state in one lower-case word."""
        result = call(
            [PROGRAM, "list", f"^{instance.runtime_name}$", "--format=json"], STATE_SECONDS
        )
        if result.code:
            return MISSING if result.says(*GONE) else UNKNOWN
        rows = _rows(result.output)
        if rows is None:
            return UNKNOWN
        for row in rows:
            if row.get("name", instance.runtime_name) == instance.runtime_name:
                status = row.get("status") or (row.get("state") or {}).get("status")
                return str(status or UNKNOWN).lower()
        return MISSING

    def exec_argv(self, instance: Instance, run: Exec) -> list[str]:
        """Return the argv that runs a command inside.

        A directory that is not there must be an error; Incus would take / instead.
        """
        argv = [PROGRAM, "exec"]
        argv += ["-t"] if run.has_terminal else ["-T"]
        argv += ["--user", run.user] if run.user else []
        argv += ["--cwd", run.directory] if run.directory else []
        for key, value in run.env:
            argv += ["--env", f"{key}={value}"]
        command = list(run.command)
        if run.directory and run.directory != WORKSPACE:
            command = [
                "/bin/sh",
                "-c",
                'cd -- "$0" || exit 126; exec "$@"',
                run.directory,
                *command,
            ]
        return [*argv, instance.runtime_name, "--", *command]

    def strays(self, owner: str) -> list[Stray]:
        """Return the containers with our label for this owner."""
        rows = _rows(must([PROGRAM, "list", f"user.{OWNER_LABEL}={owner}", "--format=json"]))
        found = []
        for row in rows or []:
            config = row.get("config") or {}
            if config.get(f"user.{OWNER_LABEL}") == owner:
                state = str(row.get("status") or UNKNOWN).lower()
                label = str(config.get(f"user.{LABEL}", ""))
                found.append(Stray(str(row.get("name", "")), label, state))
        return found


def remote_name(registry: str) -> str:
    """Return what the remote of a registry is called."""
    return "cw-" + re.sub(r"[^a-z0-9]+", "-", registry.lower()).strip("-")


def _registry(image: str) -> tuple[str, str]:
    """Return registry and rest of an expanded image; "" for one of Incus's own (`images:…`)."""
    first, slash, rest = image.partition("/")
    return (first, rest) if slash and REGISTRY.fullmatch(first) else ("", image)


def _rows(output: str) -> list[dict[str, Any]] | None:
    try:
        rows = json.loads(output or "[]")
    except ValueError:
        return None
    if not isinstance(rows, list):
        return None
    return [row for row in rows if isinstance(row, dict)]
