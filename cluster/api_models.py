"""What the HTTP API takes and answers: the shapes of Centrifugo's server API, which many programs speak."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .errors import usable_code, usable_reason

R = TypeVar("R")

MAX_OFFSET = 2**63 - 1


def _text(value: str) -> str:
    # Half of a surrogate pair is JSON, but not text.
    value.encode()
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("only printable characters")
    return value


def _base64(value: str) -> str:
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        raise ValueError("no base64") from None
    return value


Text = Annotated[str, AfterValidator(_text)]
Key = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
Base64 = Annotated[str, AfterValidator(_base64)]


class Request(BaseModel):
    """Fields that are not known are passed over."""

    model_config = ConfigDict(extra="ignore")


class StreamPosition(Request):
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    epoch: Text = ""


class What(Request):
    """A payload to publish."""

    data: Any = Field(None, description="Any JSON.")
    b64data: Base64 = Field("", description="Instead of `data`: any bytes.")
    tags: dict[Text, Text] = {}
    idempotency_key: Key = Field("", description="The same key again is the same publication.")
    skip_history: bool = Field(False, description="Not available: a channel keeps all or nothing.")


class PublishRequest(What):
    channel: Text


class BroadcastRequest(What):
    channels: Annotated[list[Text], Field(min_length=1)]


class ChannelRequest(Request):
    channel: Text


class HistoryRequest(ChannelRequest):
    limit: Annotated[int, Field(ge=-1)] = Field(0, description="0: only the newest position; -1: as many as may be.")
    since: StreamPosition | None = None
    reverse: bool = Field(False, description="Newest first.")


class UserRequest(Request):
    """Which connections of a user are meant: all, or the one of a client or session id."""

    user: Text
    client: Text = ""
    session: Text = ""


class BoolValue(Request):
    value: bool = False


class Override(Request):
    """What is to differ from the channel's options."""

    presence: BoolValue | None = None
    join_leave: BoolValue | None = None
    force_push_join_leave: BoolValue | None = None
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None


class SubscribeRequest(UserRequest):
    channel: Text
    expire_at: int = Field(0, description="Unix time; 0: never.", ge=0, le=MAX_OFFSET)
    info: Any = Field(None, description="Told to others in the channel.")
    b64info: Base64 = ""
    data: Any = Field(None, description="For the client.")
    b64data: Base64 = ""
    recover_since: StreamPosition | None = None
    override: Override = Override()


class UnsubscribeRequest(UserRequest):
    channel: Text = Field("", description="All channels when it is empty.")


def _close_code(value: int) -> int:
    return value and usable_code(value)


def _close_reason(value: str) -> str:
    return value and usable_reason(value)


class Disconnect(Request):
    code: Annotated[int, AfterValidator(_close_code)] = Field(
        0, description="0: 3503; up to 3499, and 4000 to 4499, the client connects again."
    )
    reason: Annotated[Text, AfterValidator(_close_reason)] = Field("", description="Empty: force disconnect.")


class DisconnectRequest(UserRequest):
    whitelist: list[Text] = Field([], description="Ids of clients to keep.")
    disconnect: Disconnect = Disconnect()


class ChannelsRequest(Request):
    pattern: Text = Field("", description="`*` stands for any characters, `?` for one.")


class Error(BaseModel):
    code: int
    message: str


class Reply(BaseModel, Generic[R]):
    """One of the two."""

    result: R | None = None
    error: Error | None = None


class Empty(BaseModel):
    pass


class PublishResult(BaseModel):
    offset: int = 0
    epoch: str = ""


class BroadcastResult(BaseModel):
    responses: list[Reply[PublishResult]]


class ClientInfo(BaseModel):
    user: str = ""
    client: str = ""
    conn_info: Any = None
    chan_info: Any = None


class PresenceResult(BaseModel):
    presence: dict[str, ClientInfo]


class PresenceStatsResult(BaseModel):
    num_clients: int
    num_users: int


class Publication(BaseModel):
    offset: int
    data: Any = None
    b64data: str = Field("", description="The payload when it is not JSON.")
    info: ClientInfo | None = None
    tags: dict[str, str] = {}


class HistoryResult(BaseModel):
    publications: list[Publication]
    epoch: str
    offset: int


class ChannelInfo(BaseModel):
    num_clients: int


class ChannelsResult(BaseModel):
    channels: dict[str, ChannelInfo]


class Process(BaseModel):
    cpu: float = Field(description="Percent of one core.")
    rss: int = Field(description="Bytes.")


class NodeInfo(BaseModel):
    uid: str
    name: str = Field(description="Host and PID.")
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int = Field(description="Seconds.")
    process: Process


class InfoResult(BaseModel):
    nodes: list[NodeInfo]
