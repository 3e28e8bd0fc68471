"""Keys and values: namespaces, time to live, and every confirmed change survives."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import RequestError
from tests.support import Home, running_home, wait_until


def test_set_get_list_delete(node: Home) -> None:
    client = node.client()
    assert client.kv_get("k") is None
    client.kv_set("k", b"v1")
    client.kv_set("k", b"\x00\xff")
    client.kv_set("k", b"elsewhere", namespace="other")
    client.kv_set("", b"")
    assert client.kv_get("k") == b"\x00\xff"
    assert client.kv_get("") == b""
    assert client.kv_get("k", namespace="default") == b"\x00\xff"
    assert [(e.key, e.value) for e in client.kv_list("k")] == [("k", b"\x00\xff")]
    assert [entry.key for entry in client.kv_list()] == ["", "k"]
    client.kv_delete("k")
    client.kv_delete("k")
    assert client.kv_get("k") is None
    assert [entry.value for entry in client.kv_list(namespace="other")] == [b"elsewhere"]


def test_golden_exchange(node: Home) -> None:
    request = {"type": "KVSet", "key": "k", "value": "djE=", "ttl": "60s"}
    assert node.request(request) == {"type": "KVSetOK"}
    assert node.request({"type": "KVGet", "key": "k"}) == {"type": "KVGetResult", "value": "djE="}
    (entry,) = node.request({"type": "KVList"})["entries"]
    assert entry.keys() == {"key", "value", "expires_at"} and entry["expires_at"].endswith("Z")
    assert node.request({"type": "KVSet", "key": "k"}) == {"type": "KVSetOK"}
    assert node.request({"type": "KVList"})["entries"] == [{"key": "k", "value": ""}]
    assert node.request({"type": "KVDelete", "key": "k"}) == {"type": "KVDeleteOK"}
    assert node.request({"type": "KVGet", "key": "k"}) == {"type": "KVGetResult"}
    assert node.request({"type": "KVList"}) == {"type": "KVListResult", "entries": []}


def test_keys_expire(node: Home) -> None:
    client = node.client()
    client.kv_set("cleared", b"x", ttl="300ms")
    client.kv_set("cleared", b"y")
    client.kv_set("long", b"x", ttl="1h")
    client.kv_set("negative", b"x", ttl="-1s")
    started = time.monotonic()
    client.kv_set("short", b"x", ttl="300ms")
    wait_until(lambda: client.kv_get("short") is None, 20, "the key expires")
    assert time.monotonic() - started >= 0.3
    assert [entry.key for entry in client.kv_list()] == ["cleared", "long", "negative"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ttl": "5"}, 'invalid TTL "5": time: missing unit in duration "5"'),
        ({"ttl": "1d"}, 'invalid TTL "1d": time: unknown unit "d" in duration "1d"'),
        ({"ttl": "soon"}, 'invalid TTL "soon": time: invalid duration "soon"'),
        ({"key": "k" * 4097}, "key too long: 4097 bytes (at most 4096)"),
        ({"namespace": "é" * 2049}, "namespace too long: 4098 bytes (at most 4096)"),
        ({"value": base64.b64encode(bytes((1 << 20) + 1)).decode()}, "value too large: 1048577"),
        ({"value": "*"}, "invalid request: value"),
    ],
)
def test_refused(kv_home: Home, fields: dict[str, Any], text: str) -> None:
    answer = kv_home.request({"type": "KVSet", "key": "k", **fields})
    assert answer["type"] == "Error" and answer["message"].startswith(text), answer


@pytest.fixture(scope="module")
def kv_home() -> Any:
    with running_home() as home:
        yield home


def test_a_store_that_is_full_says_so(kv_home: Home) -> None:
    client = kv_home.client()
    for number in range(15):
        client.kv_set(f"big{number}", bytes(1 << 20), namespace="big")
    with pytest.raises(RequestError, match="the key-value store is full"):
        client.kv_set("last", bytes(1 << 20), namespace="big")
    with pytest.raises(RequestError, match="15 keys are too much for one answer"):
        client.kv_list(namespace="big")
    client.kv_delete("big0", namespace="big")
    client.kv_set("last", bytes(1 << 20), namespace="big")


def test_every_confirmed_change_survives(node: Home) -> None:
    """Four writers, a worker killed under them, an orderly restart."""
    client = node.client()
    is_killed = threading.Event()
    last = [0, 0, 0, 0]

    def write(writer: int) -> None:
        left = 20
        while left:
            last[writer] += 1
            client.kv_set(f"w{writer}", str(last[writer]).encode())
            client.kv_set(f"w{writer}-{last[writer]}", b"x")
            client.kv_delete(f"w{writer}-{last[writer]}")
            left -= is_killed.is_set()

    writers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(4)]
    for thread in writers:
        thread.start()
    wait_until(lambda: min(last) > 20, 30, "some are written")
    os.kill(node.worker_pid, signal.SIGKILL)
    is_killed.set()
    for thread in writers:
        thread.join(40)
    assert not any(thread.is_alive() for thread in writers)
    expected = [(f"w{writer}", str(number).encode()) for writer, number in enumerate(last)]
    assert [(e.key, e.value) for e in client.kv_list()] == expected
    assert node.stop_node() == 0
    node.start_node()
    assert [(e.key, e.value) for e in client.kv_list()] == expected


@pytest.mark.long
def test_the_file_stays_short_and_a_torn_line_harms_nothing(node: Home) -> None:
    client = node.client()
    path = Path(node.data_dir, "kv.jsonl")
    for number in range(2500):
        client.kv_set("counter", str(number).encode())
    assert len(path.read_text().splitlines()) < 1500
    with path.open("a") as file:
        file.write('{"ns":"default","key":"torn","val')
    client.kv_set("after", b"x")
    os.kill(node.worker_pid, signal.SIGKILL)
    assert client.kv_get("counter") == b"2499"
    assert client.kv_get("after") == b"x" and client.kv_get("torn") is None


@pytest.mark.smoke
def test_the_commands(home: Home) -> None:
    def run(*argv: str) -> tuple[int, str, str]:
        done = home.cw("kv", *argv)
        return done.returncode, done.stdout, done.stderr

    home.start_node()
    assert run("list") == (0, "No keys found\n", "")
    assert run("set", "build/status", "green") == (0, "", "Set default/build/status\n")
    assert run("set", "k", "é x", "--ns", "n", "--ttl", "1h") == (0, "", "Set n/k\n")
    assert run("get", "build/status") == (0, "green\n", "")
    assert run("get", "k")[:2] == (1, "")
    assert run("get", "k", "--default", "d") == (0, "d\n", "")
    assert run("get", "k", "--ns=n") == (0, "é x\n", "")
    assert run("list", "build/") == (0, f"{'build/status':<30} green\n", "")
    code, out, _ = run("list", "--ns", "n", "--json")
    (entry,) = json.loads(out)
    assert (code, entry["key"], entry["value"]) == (0, "k", "é x") and entry["expires_at"]
    assert run("delete", "k", "--ns", "n") == (0, "", "Deleted n/k\n")
    assert run("delete", "k", "--ns", "n") == (0, "", "n/k was not there\n")
    assert run("set", "k", "v", "--ttl", "5") == (
        1,
        "",
        'Error: invalid TTL "5": time: missing unit in duration "5"\n',
    )
    assert run("frob") == (1, "", 'Error: unknown command "frob" for "cw kv"\n')
    assert run()[0] == 0 and "cw kv set <key> <value>" in run()[1]
    home.client().kv_set("bin", b"\xff")
    assert json.loads(run("list", "bin", "-j")[1]) == [{"key": "bin", "value_base64": "/w=="}]


def test_a_change_of_a_large_store_is_one_short_line(node: Home) -> None:
    """What a change costs, whatever else is stored: the file is not written anew."""
    client = node.client()
    for number in range(10):
        client.kv_set(f"big{number}", bytes(1 << 20), namespace="big")
    path = Path(node.data_dir, "kv.jsonl")
    before = path.stat()
    for number in range(100):
        client.kv_set(f"quick{number % 3}", b"x")
    after = path.stat()
    assert after.st_ino == before.st_ino
    assert 0 < after.st_size - before.st_size < 100 * 200
