"""Instances: made, started, stopped, removed; a record and a container that agree.

The record comes first and goes last, so that whatever is killed in between, `local list` shows it
and `local rm` removes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import CodewireError
from codewire.paths import data_dir
from codewire.runtimes import records
from codewire.runtimes.docker import Docker
from codewire.runtimes.engine import (
    MISSING,
    RUNNING,
    UNKNOWN,
    EngineError,
    Options,
    Stray,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.runtimes.engine import Engine
    from codewire.runtimes.records import Instance

MAX_ASKED = 8
BACKENDS = ("docker", "incus", "podman")


class Stale(NamedTuple):
    """A record whose container has gone, or was never finished."""

    instance: Instance
    state: str


def engine_of(backend: str, program: str = "") -> Engine:
    """Return the engine behind a backend's name. Raises CodewireError."""
    if backend == "incus":
        from codewire.runtimes.incus import Incus

        return Incus()
    if backend == "docker":
        return Docker(program or "docker")
    if backend == "podman":
        return Docker("podman")
    raise CodewireError(f'unsupported local backend "{backend}": {", ".join(BACKENDS)}')


def engine_for(instance: Instance) -> Engine:
    """Return the engine an instance was made with. Raises CodewireError."""
    return engine_of(instance.backend, instance.engine)


def owner() -> str:
    """Return what labels say of the data directory a container belongs to."""
    import hashlib

    root = os.path.realpath(data_dir().root)
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:16]


def create(instance: Instance, options: Options) -> None:
    """Make an instance: record, container, start. Nothing is left where that fails."""
    engine = engine_for(instance)
    engine.require()
    engine.check(instance)
    records.add(_in_phase(instance, records.CREATING))
    try:
        engine.create(instance, options._replace(owner=owner()))
    except EngineError:
        # The engine has cleaned up; what it made before our time is another's.
        records.remove(instance.name)
        raise
    except BaseException:
        _undo(engine, instance)
        raise
    records.update(instance.name, phase=records.READY)


def _in_phase(instance: Instance, phase: str) -> Instance:
    return instance._replace(phase=phase)


def _undo(engine: Engine, instance: Instance) -> None:
    """Remove what was begun when we were interrupted; the record stays if that fails."""
    try:
        engine.remove(instance)
    except EngineError:
        return
    records.remove(instance.name)


def state_of(instance: Instance) -> str:
    """Return the state shown: the engine's word, `creating` for what was never finished."""
    engine = engine_for(instance)
    try:
        engine.require()
        state = engine.state(instance)
    except EngineError:
        return UNKNOWN
    if instance.phase == records.CREATING and state in (MISSING, "created", UNKNOWN):
        return records.CREATING
    return state


def states_of(found: Sequence[Instance]) -> list[str]:
    """Return the state of each; they are asked for at the same time, an engine may be slow."""
    if len(found) < 2:
        return [state_of(each) for each in found]
    # Of no use to a command in one runtime, which is to start quickly.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(MAX_ASKED) as pool:
        return list(pool.map(state_of, found))


def start(instance: Instance) -> None:
    """Start an instance; one that runs is no error. Raises EngineError."""
    engine = engine_for(instance)
    engine.require()
    engine.start(instance)


def stop(instance: Instance) -> None:
    """Stop an instance; one that is stopped is no error. Raises EngineError."""
    engine = engine_for(instance)
    engine.require()
    engine.stop(instance)


def remove(instance: Instance) -> None:
    """Remove container and record; a container that has gone already is no error."""
    engine = engine_for(instance)
    engine.require()
    engine.remove(instance)
    records.remove(instance.name)


def find_strays(backends: tuple[str, ...] = BACKENDS) -> list[tuple[str, Stray]]:
    """Return (backend, container) for each container of ours without a record.

    An engine that is not installed has none.
    """
    known = {instance.runtime_name for instance in records.load().values()}
    found: list[tuple[str, Stray]] = []
    for backend in backends:
        engine = engine_of(backend)
        try:
            engine.require()
            strays = engine.strays(owner())
        except EngineError:
            continue
        # podman may stand behind the name docker: one container is one stray.
        seen = known | {stray.runtime_name for _, stray in found}
        found += [(backend, stray) for stray in strays if stray.runtime_name not in seen]
    return found


def remove_stray(backend: str, stray: Stray) -> None:
    """Remove a container without a record. Raises EngineError."""
    engine = engine_of(backend)
    name = stray.instance or stray.runtime_name
    engine.remove(records.Instance(name, backend, stray.runtime_name, ""))


def find_stale() -> list[Stale]:
    """Return the records whose container is missing."""
    known = list(records.load().values())
    found = [Stale(*pair) for pair in zip(known, states_of(known), strict=True)]
    return [stale for stale in found if stale.state in (MISSING, records.CREATING)]


def require_running(instance: Instance) -> None:
    """Raise CodewireError unless the instance runs, with what to do."""
    state = state_of(instance)
    if state == RUNNING:
        return
    if state == MISSING:
        raise CodewireError(
            f"the container of {instance.name} is missing; 'cw local rm {instance.name}' forgets it"
        )
    if state == UNKNOWN:
        program = instance.engine or instance.backend
        engine_for(instance).require()
        raise CodewireError(
            f"{program} does not say how {instance.name} is: 'cw local doctor' shows what is wrong"
        )
    raise CodewireError(
        f"local instance {instance.name} is {state}; 'cw local start {instance.name}' starts it"
    )
