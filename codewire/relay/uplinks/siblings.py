"""Other relays of the same database: asked for nodes that are connected there, and asked by them.

A question is a WebSocket to /internal/ask/{node}: the first message is what the node is to be
told, the answer says whether it has dialled back, from then on messages go both ways as they come.
Whoever is asked looks among its own uplinks only: a question cannot go round in a circle.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, OutOfThreads, RelayError
from codewire.io.wait import spawn
from codewire.network.exchange import Server
from codewire.network.websocket import open_websocket
from codewire.relay.http.answers import Refusal
from codewire.relay.store import nodes, people, whereabouts
from codewire.relay.uplinks.passes import (
    NONCE_BYTES,
    SECRET_BYTES,
    Nonces,
    Question,
    is_good,
    made_at,
    make_pass,
    prove,
)
from codewire.relay.uplinks.questions import (
    ANSWERED,
    ASKED,
    BAD_PASS,
    NO_THREAD,
    REFUSED,
    SAID_NO,
    UNREACHABLE,
    Questions,
)
from codewire.relay.uplinks.streams import AGAIN, BACK_SECONDS, Stream
from codewire.web.upgrade import WebSocketUpgrade, upgrade
from codewire.wire.control import decode_control, encode_control
from codewire.wire.frames import CONTROL
from codewire.wire.http import Answer

if TYPE_CHECKING:
    from codewire.io.watchdog import Watchdog
    from codewire.io.websockets import WebSocketStream
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database
    from codewire.relay.uplinks.leases import Leases
    from codewire.relay.uplinks.streams import Streams

log = logging.getLogger(__name__)

SECRET_NAME = "relays"
DIAL_SECONDS = 3.0
# The other relay waits for its node, and then has to be heard.
ANSWER_SECONDS = BACK_SECONDS + 2.0
QUESTION_SECONDS = 5.0
MAX_QUESTION = 65536
# Of other relays, in a line of the log.
MAX_NAMED = 3
YES, NO = "Answered", "Refused"
SCHEME = "Bearer "


class FarNode:
    """A node at another relay. `features` as an uplink has them."""

    def __init__(self, asking: Siblings, url: str, key: tuple[str, str], features: tuple[str, ...]):
        self._asking = asking
        self._url = url
        self._key = key
        self.features = features

    def ask(self, stream: Stream, request: dict[str, Any]) -> bool:
        """Have the node told, and its side joined to the stream; False where that cannot be.

        Blocks until it has dialled back. Raises Refusal where it will not, or its relay is gone.
        """
        return self._asking.ask(self._url, self._key, stream, request)


class Siblings:
    """How other relays are asked, and how they are answered."""

    def __init__(
        self, store: Database, leases: Leases, streams: Streams, watchdog: Watchdog
    ) -> None:
        self._store = store
        self._leases = leases
        self._streams = streams
        self._watchdog = watchdog
        self._secret = b""
        self._nonces = Nonces()
        self.questions = Questions()
        streams.elsewhere = self.find

    def begin(self) -> None:
        """Get the secret that all relays of the database share. Raises StoreError.

        Without an URL there is none to get; where others have one, that is said.
        """
        if self._leases.url:
            fresh = os.urandom(SECRET_BYTES)
            self._secret = self._store.write(
                lambda tx: people.secret_put_if_absent(tx, SECRET_NAME, fresh)
            )
            return
        others = self._store.read(lambda tx: whereabouts.relays(tx, self._leases.now()))
        if others:
            log.warning(
                "another relay has this database (%s), and nodes are reached at one of them only: "
                "give each its --advertise-url",
                ", ".join(others[:MAX_NAMED]),
            )

    # Asking

    def find(self, network: str, name: str) -> FarNode | None:
        """Return a node that another relay has, None where none has it. Raises StoreError."""
        place = self._leases.find(network, name)
        node = self._store.read(lambda tx: nodes.get(tx, network, name)) if place else None
        if place is None or node is None:
            return None
        return FarNode(self, place.relay_url, (network, name), node.features)

    def connected(self, network: str) -> set[str] | None:
        """Return the nodes of a network that any relay has, None where that is not known.

        Raises StoreError.
        """
        if not self._leases.url:
            return None
        now = self._leases.now()
        return self._store.read(lambda tx: whereabouts.nodes_of(tx, network, now))

    def ask(self, url: str, key: tuple[str, str], stream: Stream, request: dict[str, Any]) -> bool:
        """Ask the relay at `url`; see FarNode.ask."""
        body = encode_control({"request": request, "who": stream.who})
        count = self.questions.count
        count(ASKED)
        try:
            back = self._dial(url, Question(url, *key, body))
        except Refusal:
            count(REFUSED)
            raise
        except CodewireError as error:
            count(UNREACHABLE)
            log.warning("%s/%s is at relay %s, which does not answer: %s", *key, url, error)
            words = f'the relay that node "{key[1]}" is at does not answer'
            raise Refusal(503, words, AGAIN) from error
        try:
            spawn(self._serve, stream, back)
        except OutOfThreads:
            count(NO_THREAD)
            back.close()
            return False
        return True

    def _dial(self, url: str, question: Question) -> WebSocketStream:
        """Return the connection to the node. Raises Refusal as the node said, CodewireError."""
        shown = make_pass(self._secret, question, self._leases.now(), os.urandom(NONCE_BYTES).hex())
        path = f"/internal/ask/{_quoted(question.node)}?network_id={_quoted(question.network)}"
        back = open_websocket(Server(url), path, shown, (), DIAL_SECONDS)
        try:
            back.send_frame(CONTROL, question.body)
            back.set_timeout(ANSWER_SECONDS)
            answer = _receive(back)
            if answer.get("proof") != prove(self._secret, shown):
                raise RelayError("it is no relay of this database")
            if answer.get("type") != YES:
                raise Refusal(int(answer.get("status") or 503), str(answer.get("reason")), AGAIN)
            back.set_timeout(None)
        except BaseException:
            back.close()
            raise
        return back

    def _serve(self, stream: Stream, back: WebSocketStream) -> None:
        self._watchdog.add(back)
        self.questions.opened(for_others=False)
        try:
            stream.serve_back(back, is_relay=True)
        finally:
            self.questions.opened(for_others=False, by=-1)
            self._watchdog.remove(back)
            back.close()

    # Answering

    def accept(self, call: Call, name: str) -> Answer | WebSocketUpgrade:
        """Turn another relay's request into its way to a node of ours. Raises Refusal."""
        if not self._secret:
            # As if there were no such path.
            raise Refusal(404, "404 page not found")
        given = call.request.field("Authorization")
        shown = given[len(SCHEME) :] if given.startswith(SCHEME) else ""
        found = made_at(shown)
        if found is None:
            raise Refusal(401, "unauthorized")
        serve = partial(self._answer, (call.network, name), shown, found)
        return upgrade(call.request, serve, self._watchdog)

    def _answer(
        self, key: tuple[str, str], shown: str, made: tuple[int, str], asking: WebSocketStream
    ) -> None:
        """Check the pass against the question, ask the node, join the two."""
        asking.set_timeout(QUESTION_SECONDS)
        frame = asking.receive()
        asking.set_timeout(None)
        if frame is None or len(frame[1]) > MAX_QUESTION:
            return
        problem = "a pass is not good"
        if is_good(self._secret, shown, Question(self._leases.url, *key, frame[1])):
            problem = self._nonces.take(made[1], made[0], self._leases.now())
        if problem:
            self.questions.count(BAD_PASS)
            log.warning("another relay's question for %s/%s is refused: %s", *key, problem)
            return
        proof = prove(self._secret, shown)
        message = decode_control(frame[1])
        stream = Stream(key, str(message.get("who")))
        try:
            self._streams.enter(stream)
            request = message.get("request")
            self._streams.ask_here(stream, request if isinstance(request, dict) else {})
        except Refusal as refusal:
            self.questions.count(SAID_NO)
            self._streams.forget(stream)
            answer = {"type": NO, "status": refusal.status, "reason": str(refusal)}
            asking.send_control({**answer, "proof": proof})
            return
        self.questions.count(ANSWERED)
        self.questions.opened(for_others=True)
        try:
            asking.send_control({"type": YES, "proof": proof})
            stream.serve_client(asking)
        finally:
            self.questions.opened(for_others=True, by=-1)
            self._streams.forget(stream)


def _receive(back: WebSocketStream) -> dict[str, Any]:
    frame = back.receive()
    if frame is None:
        raise RelayError("it ended the connection")
    return decode_control(frame[1])


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
