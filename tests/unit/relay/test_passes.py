"""Passes between relays: for one relay, one question, some seconds, once."""

from __future__ import annotations

import pytest

from codewire.relay.uplinks.passes import (
    SKEW_NS,
    Nonces,
    Question,
    is_good,
    made_at,
    make_pass,
    prove,
)

SECRET, OTHER = b"s" * 32, b"t" * 32
NOW = 1_790_000_000_000_000_000
NONCE = "0123456789abcdef" * 2
ASKED = Question("https://a.example", "proj", "dev-1", b'{"type":"StreamRequest"}')


def test_a_pass_is_for_its_question_alone() -> None:
    shown = make_pass(SECRET, ASKED, NOW, NONCE)
    assert is_good(SECRET, shown, ASKED) and made_at(shown) == (NOW, NONCE)
    assert not is_good(OTHER, shown, ASKED)
    for change in (
        {"relay": "https://b.example"},
        {"network": "other"},
        {"node": "dev-2"},
        {"body": ASKED.body + b" "},
        # What is signed cannot be read in two ways.
        {"network": "proj\0dev", "node": "1"},
    ):
        assert not is_good(SECRET, shown, ASKED._replace(**change))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda words: words[:3],
        lambda words: [*words, "x"],
        lambda words: ["cwrelay2", *words[1:]],
        lambda words: [words[0], str(NOW + 1), *words[2:]],
        lambda words: [words[0], "-1", *words[2:]],
        lambda words: [words[0], "9" * 20, *words[2:]],
        lambda words: [words[0], "١٢", *words[2:]],
        lambda words: [*words[:2], "0" * 32, words[3]],
        lambda words: [*words[:2], "short", words[3]],
        lambda words: [*words[:3], ""],
        lambda words: [*words[:3], words[3].upper()],
        lambda words: [*words[:3], "é" * 64],
    ],
)
def test_a_changed_pass_is_none(spoil) -> None:  # type: ignore[no-untyped-def]
    words = make_pass(SECRET, ASKED, NOW, NONCE).split(".")
    assert not is_good(SECRET, ".".join(spoil(words)), ASKED)


def test_both_sides_show_that_they_know_the_secret() -> None:
    shown = make_pass(SECRET, ASKED, NOW, NONCE)
    assert prove(SECRET, shown) != prove(OTHER, shown)
    assert prove(SECRET, shown) != shown.rpartition(".")[2]


def test_each_nonce_counts_once_while_its_pass_is_good() -> None:
    nonces = Nonces()
    assert nonces.take("a", NOW, NOW) == ""
    assert nonces.take("a", NOW, NOW + SKEW_NS) == "a pass was used twice"
    assert nonces.take("b", NOW + SKEW_NS, NOW) == ""
    assert "31 s apart" in nonces.take("c", NOW - 31 * 10**9, NOW)
    assert "31 s apart" in nonces.take("c", NOW + 31 * 10**9, NOW)
    # Later it is refused for its age, and forgotten.
    assert "apart" in nonces.take("a", NOW, NOW + SKEW_NS + 1)
    assert len(nonces._seen) == 2 and nonces.take("d", NOW + 3 * SKEW_NS, NOW + 3 * SKEW_NS) == ""
    assert set(nonces._seen) == {"d"}


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    nonces = Nonces(limit=2)
    assert [nonces.take(name, NOW, NOW) for name in "abc"] == ["", "", "too many questions at once"]
