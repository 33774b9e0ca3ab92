"""No frame, however broken, makes a session raise or say something that is not of the protocol.

FUZZ_FRAMES says how many are tried, FUZZ_SEED which; `scripts/fuzz` tries a million.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from cluster.session import codes
from cluster.session.checks import SessionLimits
from cluster.session.commands import (
    ConnectRequest,
    Disconnect,
    Error,
    HistoryRequest,
    HistoryResult,
    PresenceRequest,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResult,
    PublishRequest,
    PublishResult,
    RefreshRequest,
    Request,
    RpcRequest,
    RpcResult,
    SendRequest,
    SubRefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    UnsubscribeResult,
)
from cluster.session.outcomes import Connected, Outcome, Refreshed, Sent
from cluster.session.session import Session
from cluster.session.step import Step

from .client import PLACE
from .fuzz import frames, mutated
from .peer import PEERS, Peer

FRAMES = int(os.environ.get("FUZZ_FRAMES", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LIMITS = SessionLimits(max_channels=8, max_pending=20, rate=1e9, burst=1e9)
CLOSES = {(code.code, code.reason) for code in vars(codes).values() if isinstance(code, Disconnect)}
ERRORS = {code.code for code in vars(codes).values() if isinstance(code, Error)}


class Talk:
    """One session and all that is said in it."""

    def __init__(self, peer: Peer, random: Random) -> None:
        self.peer = peer
        self.random = random
        self.closed = False
        self.connected = False
        self.session = Session("c", peer.codec, LIMITS, 0.0, session_id="s", jitter=0.0)
        if random.random() < 0.8:
            self.hear(peer.frame({"id": 1, "connect": {}}))
        if random.random() < 0.3:
            self.take(self.session.tick(13.0))

    def hear(self, frame: bytes) -> None:
        step = self.session.receive(frame, 14.0)
        self.take(step)
        while step.request:
            if self.random.random() < 0.1:
                return
            step = self.session.finish(self.outcome(step.request), 14.0)
            self.take(step)

    def outcome(self, request: Request) -> Outcome:
        if self.random.random() < 0.1 and not isinstance(request, ConnectRequest):
            return codes.PERMISSION_DENIED
        match request:
            case ConnectRequest():
                return Connected(data=request.data)
            case SubscribeRequest():
                return PLACE._replace(data=request.data)
            case UnsubscribeRequest():
                return UnsubscribeResult()
            case PublishRequest():
                return PublishResult()
            case PresenceRequest():
                return PresenceResult({"c": self.session.client_info(request.channel)})
            case PresenceStatsRequest():
                return PresenceStatsResult(1, 1)
            case HistoryRequest():
                return HistoryResult()
            case SendRequest():
                return Sent()
            case RpcRequest():
                return RpcResult(request.data)
            case RefreshRequest() | SubRefreshRequest():
                return Refreshed(60.0)

    def take(self, step: Step) -> None:
        assert not self.closed or step == Step(), "a word after the end"
        replies = self.peer.read(self.peer.codec.join(step.replies)) if step.replies else []
        for reply in replies:
            assert len(reply) == ("id" in reply) + 1 or reply == {}, reply
            assert "id" in reply or "push" in reply or reply == {}, reply
            assert "error" not in reply or reply["error"]["code"] in ERRORS, reply
        if step.close:
            assert step.request is None
            self.closed = True
            assert (step.close.code, step.close.reason) in CLOSES


def test_every_close_has_a_reason_every_sdk_understands() -> None:
    for _, reason in CLOSES:
        assert 0 < len(reason.encode()) < 124
        assert reason.isascii()
        assert not reason[0].isdigit()
        assert reason[0] not in '{["'


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: type(peer).__name__)
@pytest.mark.parametrize("suffix", [".json", ".pb"])
def test_no_mutated_frame_breaks_a_session(peer: Peer, suffix: str) -> None:
    corpus = frames(suffix)
    assert corpus
    # Each encoding mostly hears mutations of its own.
    own = (suffix == ".pb") == peer.codec.binary
    random = Random(f"{SEED}{suffix}{peer.codec.binary}")
    talk = Talk(peer, random)
    for _ in range(FRAMES * 45 // 100 if own else FRAMES * 5 // 100):
        if talk.closed or random.random() < 0.02:
            talk = Talk(peer, random)
        frame = mutated(random.choice(corpus), corpus, random)
        try:
            talk.hear(frame)
        except Exception as error:
            error.add_note(f"the frame: {frame!r}")
            raise


@pytest.mark.parametrize(("peer", "suffix"), [(PEERS[0], ".json"), (PEERS[1], ".pb")], ids=("json", "protobuf"))
def test_the_frames_of_the_corpus_are_heard(peer: Peer, suffix: str) -> None:
    for frame in frames(suffix):
        Talk(peer, Random(SEED)).hear(frame)
