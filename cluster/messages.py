"""What the demo application and its clients say to each other, as Pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

MOST_LOAD = 5000
"""Publications per second."""


class Message(BaseModel):
    """The base of everything on the wire: unknown fields are an error, defaults are always written."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class ConnectedTo(Message):
    """Told to a client when it connects: the worker it is connected to."""

    push_type: Literal["connected_to"] = "connected_to"
    host: str
    pid: int
    initiated_by: Literal["connect-initiated"] = "connect-initiated"
    report_time: int = Field(description="Milliseconds since 1970.")


class NotifiedBy(Message):
    """Told to every client of every worker: the worker at which someone initiated a push."""

    push_type: Literal["notified_by"] = "notified_by"
    host: str
    pid: int
    initiated_by: Literal["user-initiated"] = "user-initiated"
    report_time: int = Field(description="Milliseconds since 1970.")


class ServerMessage(RootModel[Annotated[ConnectedTo | NotifiedBy, Field(discriminator="push_type")]]):
    """Everything the demo application sends."""


class LoadSample(Message):
    """One of the publications that show what the cluster carries."""

    push_type: Literal["load_sample"] = "load_sample"
    number: int
    host: str
    pid: int
    sent_at: float = Field(description="Milliseconds since 1970.")


class LoadRequest(Message):
    """How much load is asked for."""

    rate: int = Field(ge=0, le=MOST_LOAD, description="Publications per second; 0 ends it.")


class LoadOrder(Message):
    """What load is published, and by which worker; the last order counts."""

    rate: int
    host: str
    pid: int
    seconds: float = Field(description="After so many it ends, unless it is ordered again.")


class PushRequest(Message):
    """What a client of an SDK calls `push` with to have everyone on a channel notified."""

    channel: str


class ClientMessage(Message):
    """What a client sends to have every client notified."""

    sent_message_type: Literal["user-initiated"]
