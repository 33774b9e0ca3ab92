"""What a worker tells about itself and the cluster over HTTP, and the probes of `cluster verify`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict

from .admin import Guard, admin_router
from .asyncapi import asyncapi
from .channel import encode
from .limits import TokenBucket
from .processes import Processes
from .roster import ClusterReport

if TYPE_CHECKING:
    from .integration import Hub

PROBE_CHANNEL = "/cluster/probe"
FORBIDDEN = 4403
"""Close code of a probe without the right token."""
LOOKS_PER_SECOND = 100.0
"""How often a worker says how the cluster is, whoever asks; and twice as often at once."""


class Endpoint(BaseModel):
    """Where a client may connect: the host it called, and a worker's own port."""

    host: str
    port: int


class Probe(BaseModel):
    """What `cluster verify` has a worker publish."""

    model_config = ConfigDict(extra="forbid")

    host: str
    pid: int
    nonce: str


def status_router(hub: Hub) -> APIRouter:
    """`/healthz`, `/readyz`, `/api/cluster`, and the probe that `cluster verify` connects to."""
    router = APIRouter(tags=["cluster"])
    processes = Processes(hub.settings.directory)
    guard = Guard(hub.settings.admin_token)
    looks = TokenBucket(LOOKS_PER_SECOND, 2 * LOOKS_PER_SECOND)
    router.include_router(admin_router(guard, processes))

    @router.get("/asyncapi.json")
    async def document(request: Request) -> dict[str, Any]:
        """The application's channels as an AsyncAPI document."""
        return asyncapi(hub.declared, title=request.app.title, version=request.app.version)

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Liveness: this process answers."""
        return "alive"

    @router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "Send no clients."}})
    async def readyz(response: Response) -> str:
        """Readiness: the bus is reachable and the worker is not stopping."""
        if hub.ready:
            return "ready"
        response.status_code = 503
        return "stopping" if hub.draining else "the bus is not reachable"

    @router.get("/api/cluster", responses={429: {"description": "Too many are looking."}})
    async def cluster() -> ClusterReport:
        """The workers of the cluster, as the worker that answers knows them from their signs of life. For everybody."""
        if not looks.take(time.monotonic()):
            raise HTTPException(429, "too many are looking, try again later")
        return ClusterReport(
            answered_by=os.getpid(),
            host=hub.heartbeat.host,
            contiguous=hub.bus.capabilities.contiguous,
            workers=hub.heartbeat.workers(),
            processes=await processes.reports(),
            events=await processes.events(),
        )

    @router.get(
        "/api/cluster/endpoint",
        responses={404: {"description": "Clients may not connect directly."}, 503: {"description": "None is ready."}},
    )
    async def endpoint(request: Request) -> Endpoint:
        """Where to connect without nginx: the worker of this host with the fewest connections."""
        if not hub.settings.direct:
            raise HTTPException(404, "clients may not connect directly: DIRECT is not set")
        here = [w for w in hub.heartbeat.workers() if w.host == hub.heartbeat.host and w.ready and w.port]
        if not here:
            raise HTTPException(503, "no worker has reported its port yet")
        port = min(here, key=lambda worker: worker.connections).port
        return Endpoint(host=request.url.hostname or hub.settings.host, port=port or 0)

    @router.websocket("/api/cluster/probe")
    async def probe(websocket: WebSocket) -> None:
        """Receive every probe of every worker; each one sent is published."""
        try:
            guard(websocket, websocket.headers.get("authorization", ""))
        except HTTPException as refusal:
            await websocket.accept()
            await websocket.close(FORBIDDEN, refusal.detail)
            return
        async with hub.attach(websocket, accepts=Probe) as connection:
            await hub.subscribe(PROBE_CHANNEL, connection)
            try:
                connection.send({"host": hub.heartbeat.host, "pid": os.getpid()})
                async for message in connection:
                    await hub.publish_bytes(PROBE_CHANNEL, encode(message))
            finally:
                hub.unsubscribe(PROBE_CHANNEL, connection)

    return router
