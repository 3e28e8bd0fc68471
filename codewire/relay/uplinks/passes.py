"""Passes: what one relay shows to another of the same database, for one question, once.

Signed (HMAC-SHA-256) with a secret that lies sealed in the database. A pass is good for the relay
it is made for, for some seconds, for one question. Pure: clocks and random bytes come in.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from typing import NamedTuple

SECOND = 1_000_000_000
# How far two relays' clocks may be apart; both go by the database's.
SKEW_NS = 30 * SECOND
NONCE_BYTES = 16
SECRET_BYTES = 32
# Of the last two SKEW_NS. More questions than that are refused.
MAX_NONCES = 100_000
PREFIX = "cwrelay1"


class Question(NamedTuple):
    """What is asked of whom: `relay` is the URL it is known by, `body` the first message."""

    relay: str
    network: str
    node: str
    body: bytes


def make_pass(secret: bytes, question: Question, now: int, nonce: str) -> str:
    """Return a pass; `now` in nanoseconds, `nonce` NONCE_BYTES random ones in hex."""
    return f"{PREFIX}.{now}.{nonce}.{_sign(secret, question, now, nonce)}"


def made_at(text: str) -> tuple[int, str] | None:
    """Return when a pass was made and its nonce, None for what is no pass."""
    words = text.split(".")
    if len(words) != 4 or words[0] != PREFIX:
        return None
    made, nonce = words[1], words[2]
    is_time = made.isascii() and made.isdigit() and len(made) <= 19
    is_nonce = len(nonce) == 2 * NONCE_BYTES and nonce.isascii() and nonce.isalnum()
    return (int(made), nonce) if is_time and is_nonce else None


def is_good(secret: bytes, text: str, question: Question) -> bool:
    """Say whether a pass is for this question; its time and nonce are looked at elsewhere."""
    found = made_at(text)
    if found is None:
        return False
    expected = _sign(secret, question, *found)
    return hmac.compare_digest(text.rpartition(".")[2].encode(), expected.encode())


def prove(secret: bytes, text: str) -> str:
    """Return what shows whoever sent a pass that the secret is known here, too."""
    return hmac.new(secret, b"proof\0" + text.encode(), hashlib.sha256).hexdigest()


def _sign(secret: bytes, question: Question, now: int, nonce: str) -> str:
    digest = hashlib.sha256(question.body).hexdigest()
    words = (PREFIX, question.relay, question.network, question.node, digest, str(now), nonce)
    return hmac.new(secret, "\0".join(words).encode(), hashlib.sha256).hexdigest()


class Nonces:
    """Those of the last minute. Any thread may call."""

    def __init__(self, limit: int = MAX_NONCES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        # By when each is forgotten; in that order, nearly.
        self._seen: dict[str, int] = {}

    def take(self, nonce: str, made: int, now: int) -> str:
        """Return why a pass is not taken, "" for one that is; times in nanoseconds."""
        if abs(now - made) > SKEW_NS:
            return f"the relays' clocks are {abs(now - made) / SECOND:.0f} s apart"
        with self._lock:
            self._forget(now)
            if nonce in self._seen:
                return "a pass was used twice"
            if len(self._seen) >= self._limit:
                return "too many questions at once"
            self._seen[nonce] = made + SKEW_NS
        return ""

    def _forget(self, now: int) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] >= now:
                return
            del self._seen[oldest]
