"""What client and server say to each other: the messages of the Centrifugo client protocol, free of any encoding.

Field names are those of the protocol; a field that has its default is not sent. `Raw` holds a payload as it came:
JSON for clients that speak JSON, any bytes for those that speak Protobuf. A command carries one request, a reply one
result, an error or a push: which one is told by the field that is there.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

NOTHING = Raw(b"")
"""A payload that is not there. Only this object is left out of a message: see `raw`."""


def raw(data: bytes) -> Raw:
    """`data` as a payload, which is not there if it is empty."""
    return Raw(data) if data else NOTHING


Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
UInt64 = Annotated[int, Meta(ge=0)]
"""msgspec knows no upper limit beyond 64 bits with a sign: see `check_offset`."""


def check_offset(offset: int) -> None:
    """Raises `ValueError` when `offset` has more than 64 bits."""
    if offset >= 2**64:
        raise ValueError("an offset has 64 bits")


class ConnectRequest(Struct, omit_defaults=True):
    token: str = ""
    data: Raw = NOTHING
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}
    flag: Int64 = 0


REJECT_UNRECOVERED = 2


class SubscribeRequest(Struct, omit_defaults=True):
    """`flag` has the bit `REJECT_UNRECOVERED` when nothing but a complete recovery is wanted.

    `tf` is a filter by tags, `type` another kind of subscription than to a stream: neither is offered.
    """

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: UInt64 = 0
    data: Raw = NOTHING
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: Raw = NOTHING
    flag: Int64 = 0
    type: Int32 = 0

    def __post_init__(self) -> None:
        check_offset(self.offset)


class UnsubscribeRequest(Struct, omit_defaults=True):
    channel: str = ""


class PublishRequest(Struct, omit_defaults=True):
    """`type` is not 0 where more is meant than a publication in a stream."""

    channel: str = ""
    data: Raw = NOTHING
    type: Int32 = 0


class PresenceRequest(Struct, omit_defaults=True):
    channel: str = ""


class PresenceStatsRequest(Struct, omit_defaults=True):
    channel: str = ""


class StreamPosition(Struct, omit_defaults=True):
    offset: UInt64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        check_offset(self.offset)


class HistoryRequest(Struct, omit_defaults=True):
    """`limit` 0: only the position; -1: everything."""

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class PingRequest(Struct, omit_defaults=True):
    pass


class SendRequest(Struct, omit_defaults=True):
    data: Raw = NOTHING


class RpcRequest(Struct, omit_defaults=True):
    method: str = ""
    data: Raw = NOTHING


class RefreshRequest(Struct, omit_defaults=True):
    token: str = ""


class SubRefreshRequest(Struct, omit_defaults=True):
    """`type` is not 0 for another kind of subscription than to a stream."""

    channel: str = ""
    token: str = ""
    type: Int32 = 0


class Command(Struct, omit_defaults=True):
    """`id` 0 without a `send` is the answer to a ping."""

    id: UInt32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: PingRequest | None = None
    send: SendRequest | None = None
    rpc: RpcRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None

    @property
    def request(self) -> Request | PingRequest | None:
        """The first request that is there."""
        return (
            self.connect
            or self.subscribe
            or self.unsubscribe
            or self.publish
            or self.presence
            or self.presence_stats
            or self.history
            or self.ping
            or self.send
            or self.rpc
            or self.refresh
            or self.sub_refresh
        )


Request = (
    ConnectRequest
    | SubscribeRequest
    | UnsubscribeRequest
    | PublishRequest
    | PresenceRequest
    | PresenceStatsRequest
    | HistoryRequest
    | SendRequest
    | RpcRequest
    | RefreshRequest
    | SubRefreshRequest
)
"""What a session asks its owner to do for a client, one at a time."""


class EmulationRequest(Struct):
    """Commands of a client whose transport has no way to the server: `session` and `node` are from its connect result.

    `data` is a frame.
    """

    session: str = ""
    node: str = ""
    data: bytes = b""


class ClientInfo(Struct, omit_defaults=True, frozen=True):
    """Who a client is: told in presence, joins, leaves and what it publishes."""

    user: str = ""
    client: str = ""
    conn_info: Raw = NOTHING
    chan_info: Raw = NOTHING


class Publication(Struct, omit_defaults=True):
    data: Raw = NOTHING
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] = {}


class ConnectResult(Struct, omit_defaults=True):
    """`ttl` and `ping` are in seconds. `session` and `node` are for transports that need `/emulation`."""

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0
    data: Raw = NOTHING
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""


class SubscribeResult(Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    recovered: bool = False
    was_recovering: bool = False
    publications: list[Publication] = []
    data: Raw = NOTHING


class UnsubscribeResult(Struct, omit_defaults=True):
    pass


class PublishResult(Struct, omit_defaults=True):
    pass


class PresenceResult(Struct, omit_defaults=True):
    presence: dict[str, ClientInfo] = {}


class PresenceStatsResult(Struct, omit_defaults=True):
    num_clients: int = 0
    num_users: int = 0


class HistoryResult(Struct, omit_defaults=True):
    publications: list[Publication] = []
    epoch: str = ""
    offset: int = 0


class RpcResult(Struct, omit_defaults=True):
    data: Raw = NOTHING


class RefreshResult(Struct, omit_defaults=True):
    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class Error(Struct, omit_defaults=True, frozen=True):
    """Why a command failed. `temporary`: the same command may succeed later."""

    code: int = 0
    message: str = ""
    temporary: bool = False


class Join(Struct, omit_defaults=True):
    info: ClientInfo


class Leave(Struct, omit_defaults=True):
    info: ClientInfo


class Unsubscribe(Struct):
    code: int
    reason: str


class Subscribe(Struct, omit_defaults=True):
    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = NOTHING


class Message(Struct, omit_defaults=True):
    data: Raw = NOTHING


class Disconnect(Struct, frozen=True):
    """Sent where the transport has no close frame; elsewhere its fields are the close frame's."""

    code: int
    reason: str


class Push(Struct, omit_defaults=True):
    channel: str = ""
    pub: Publication | None = None
    join: Join | None = None
    leave: Leave | None = None
    unsubscribe: Unsubscribe | None = None
    subscribe: Subscribe | None = None
    message: Message | None = None
    disconnect: Disconnect | None = None


class Reply(Struct, omit_defaults=True):
    """The empty reply is a ping."""

    id: int = 0
    error: Error | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: UnsubscribeResult | None = None
    publish: PublishResult | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    rpc: RpcResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None

    @classmethod
    def to(cls, id: int, answer: Answer) -> Reply:
        """The reply to the command with this id."""
        reply = cls(id)
        setattr(reply, _FIELDS[type(answer)], answer)
        return reply


Answer = (
    Error
    | ConnectResult
    | SubscribeResult
    | UnsubscribeResult
    | PublishResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
    | RpcResult
    | RefreshResult
    | SubRefreshResult
)

_FIELDS: dict[type, str] = {
    Error: "error",
    ConnectResult: "connect",
    SubscribeResult: "subscribe",
    UnsubscribeResult: "unsubscribe",
    PublishResult: "publish",
    PresenceResult: "presence",
    PresenceStatsResult: "presence_stats",
    HistoryResult: "history",
    RpcResult: "rpc",
    RefreshResult: "refresh",
    SubRefreshResult: "sub_refresh",
}
