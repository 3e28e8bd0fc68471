"""Random tokens, replayed ones, and sealed values in memory."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.credentials.replay import MAX_REMEMBERED, Replay
from codewire.credentials.tokens import LETTERS, equal, new_hex, new_id, new_word, token_hash
from codewire.credentials.vault import Vault
from codewire.errors import CredentialError
from tests.unit.credentials.issuer import NOW, SECOND


def test_tokens_are_of_the_published_forms() -> None:
    assert len(new_hex()) == 64
    assert set(new_hex()) <= set("0123456789abcdef")
    assert len(new_id("rt_")) == 25
    assert len({new_id("") for _ in range(100)}) == 100
    word = new_word(2000)
    assert len(word) == 2000
    assert set(word) == set(LETTERS)


def test_a_hash_is_of_the_text_without_blanks() -> None:
    assert token_hash(" x\n") == hashlib.sha256(b"x").hexdigest()
    assert token_hash("\ud800") != token_hash("\ud801")


@given(st.text(max_size=5), st.text(max_size=5))
def test_equal_is_equality(a: str, b: str) -> None:
    assert equal(a, b) == (a == b)
    assert equal(a, a)


def test_a_token_is_used_once_by_many_at_a_time() -> None:
    replay = Replay()
    found: list[bool] = []

    def use() -> None:
        found.append(replay.consume("runtime", "n", "rt_1", NOW + SECOND, NOW))

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == [False] * 19 + [True]


def test_kind_network_and_id_make_the_key() -> None:
    replay = Replay()
    keys = [
        ("runtime", "n", "1"),
        ("sender", "n", "1"),
        ("runtime", "m", "1"),
        ("runtime", "n", "2"),
    ]
    assert [replay.consume(*key, NOW, NOW) for key in keys * 2] == [True] * 4 + [False] * 4


def test_what_is_kept_is_forgotten_30_seconds_after_it_expired() -> None:
    replay = Replay()
    end = NOW + 120 * SECOND
    assert replay.consume("runtime", "n", "1", end, NOW)
    assert not replay.consume("runtime", "n", "1", end, end + 30 * SECOND)
    assert replay.lines(end + 31 * SECOND) == []


def test_a_restart_forgets_nothing() -> None:
    journal: list[dict[str, Any]] = []
    replay = Replay(lambda line: journal.append(line) is None)
    replay.consume("runtime", "n", "1", NOW + SECOND, NOW)
    replay.consume("runtime", "n", "1", NOW + SECOND, NOW)
    assert len(journal) == 1
    again = Replay()
    for line in [*journal, *journal]:
        again.restore(line)
    assert not again.consume("runtime", "n", "1", NOW + SECOND, NOW)
    assert again.lines(NOW) == journal


@pytest.mark.parametrize(
    "line", [{}, {"kind": 1, "network_id": "", "jti": "", "expires_at": 1},
             {"kind": "", "network_id": "", "jti": "", "expires_at": "soon"}],
)  # fmt: skip
def test_a_damaged_line_is_told(line: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Replay().restore(line)


def test_what_the_disk_does_not_take_is_not_used() -> None:
    """A token that could be used again after a restart is refused, and may come again."""
    is_full = [True]
    replay = Replay(lambda line: not is_full[0])
    assert not replay.consume("runtime", "n", "1", NOW, NOW)
    is_full[0] = False
    assert replay.consume("runtime", "n", "1", NOW, NOW)


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_REMEMBERED >= 10_000
    monkeypatch.setattr("codewire.credentials.replay.MAX_REMEMBERED", 3)
    replay = Replay()
    found = [replay.consume("runtime", "n", str(number), NOW, NOW) for number in range(5)]
    assert found == [True] * 3 + [False] * 2
    assert replay.consume("runtime", "n", "late", NOW + 100 * SECOND, NOW + 100 * SECOND)


@given(st.binary(max_size=100), st.text(max_size=20))
def test_what_is_sealed_opens_under_its_context(data: bytes, context: str) -> None:
    context = context.encode("utf-8", "replace").decode()
    vault = Vault(bytes(32))
    sealed = vault.seal(data, context)
    assert vault.open_sealed(sealed, context) == data
    assert vault.seal(data, context) != sealed
    with pytest.raises(CredentialError, match="sealed with another secret key"):
        vault.open_sealed(sealed, f"{context}x")


def test_what_was_changed_does_not_open() -> None:
    vault = Vault(bytes(32), "/d/secret.key")
    sealed = vault.seal(b"secret", "c")
    for at in range(1, len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(CredentialError, match="/d/secret.key is not its key"):
            vault.open_sealed(changed, "c")
    for other in (b"", sealed[:5], b"\x02" + sealed[1:]):
        with pytest.raises(CredentialError, match="not a sealed value of this version"):
            vault.open_sealed(other, "c")
    with pytest.raises(CredentialError, match="another secret key"):
        Vault(bytes(31) + b"\1").open_sealed(sealed, "c")
    assert repr(vault) == "Vault('/d/secret.key')"
