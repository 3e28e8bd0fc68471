"""An engine for tests: docker's command line as far as cw uses it, containers as directories.

Its state is a JSON file beside the log of every argv; `exec` runs on this machine, in a HOME of the
container's own. FAKE_DOCKER names its directory. A file `fail` there has lines `VERB: words`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DIRECTORY = os.environ["FAKE_DOCKER"]
VALUED = {"--name", "--hostname", "--entrypoint", "--workdir", "--mount", "--label", "--user",
          "--cpus", "--memory", "--publish", "--env", "-w", "-e", "-u", "-t", "--format",
          "--filter", "--tail"}  # fmt: skip


@contextmanager
def containers() -> Iterator[dict[str, Any]]:
    path = os.path.join(DIRECTORY, "state.json")
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found: dict[str, Any] = {}
        if os.path.exists(path):
            with open(path) as file:
                found = json.load(file)
        yield found
        with open(path, "w") as file:
            json.dump(found, file)


def main(argv: list[str]) -> int:
    verb, words = argv[0], argv[1:]
    with open(os.path.join(DIRECTORY, "log"), "a") as log:
        log.write(json.dumps(argv) + "\n")
    if words_of_failure := failing(verb):
        print(words_of_failure)
        return 1
    if verb == "exec":
        return run_inside(words)
    options, rest = split(words, VALUED - {"-t"} if verb == "exec" else VALUED)
    with containers() as known:
        if verb == "create":
            return create(known, options, rest)
        if verb == "ps":
            return list_all(known, options)
        name = rest[-1]
        if name not in known:
            print(f"Error: No such {'object' if verb == 'inspect' else 'container'}: {name}")
            return 1
        if verb == "start":
            known[name]["state"] = "exited" if "dies" in known[name]["image"] else "running"
        elif verb == "stop":
            known[name]["state"] = "exited"
        elif verb == "rm":
            del known[name]
        elif verb == "inspect":
            print(known[name]["state"])
        return 0


def failing(verb: str) -> str:
    path = os.path.join(DIRECTORY, "fail")
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                if line.startswith(f"{verb}: "):
                    return line.partition(": ")[2].strip()
    return ""


def split(words: list[str], valued: set[str]) -> tuple[list[tuple[str, str]], list[str]]:
    options = []
    while words and words[0].startswith("-"):
        count = 2 if words[0] in valued else 1
        options.append((words[0], words[1] if count == 2 else ""))
        words = words[count:]
    return options, words


def create(known: dict[str, Any], options: list[tuple[str, str]], rest: list[str]) -> int:
    found = dict(options)
    name = found["--name"]
    if name in known:
        print(f'Error response from daemon: Conflict. The container name "/{name}" is in use')
        return 1
    known[name] = {
        "state": "created",
        "image": rest[0],
        "mounts": [value for option, value in options if option == "--mount"],
        "env": [value for option, value in options if option == "--env"],
        "labels": [value for option, value in options if option == "--label"],
    }
    return 0


def list_all(known: dict[str, Any], options: list[tuple[str, str]]) -> int:
    wanted = dict(options)["--filter"].partition("label=")[2]
    for name, entry in known.items():
        if wanted in entry["labels"]:
            labels = ",".join(entry["labels"])
            print(json.dumps({"Names": name, "Labels": labels, "State": entry["state"]}))
    return 0


def run_inside(words: list[str]) -> int:
    options, rest = split(words, VALUED - {"-t"})
    name, command = rest[0], rest[1:]
    with containers() as known:
        entry = known.get(name)
    if entry is None or entry["state"] != "running":
        print(f"Error response from daemon: Container {name} is not running", file=sys.stderr)
        return 1
    home = os.path.join(DIRECTORY, f"home-{name}")
    os.makedirs(home, exist_ok=True)
    given = [value for option, value in options if option == "-e"]
    env = {"PATH": os.environ["PATH"], "HOME": home, "FAKE_CONTAINER": name}
    env.update(dict(pair.partition("=")[::2] for pair in [*entry["env"], *given]))
    if "nopython" in entry["image"]:
        env["PATH"] = os.path.join(DIRECTORY, "bin-without-python")
    source = entry["mounts"][0].partition("source=")[2].partition(",")[0]
    directory = dict(options).get("-w", "/workspace").replace("/workspace", source)
    try:
        os.chdir(directory)
    except OSError:
        if "podman" in entry["image"]:
            # As podman 4.3 does.
            print("Error: runc: exec failed: chdir to cwd failed", file=sys.stderr)
            return 127
        print("OCI runtime exec failed: exec failed: chdir to cwd failed: unknown")
        return 126
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        why = "permission denied"
        if isinstance(error, FileNotFoundError):
            why = f"stat {command[0]}: no such file or directory"
            if "/" not in command[0]:
                why = "executable file not found in $PATH"
        # As Docker 20.10 does: on stdout, and 126 whatever the reason.
        print(f'OCI runtime exec failed: exec failed: exec: "{command[0]}": {why}: unknown')
        return 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
