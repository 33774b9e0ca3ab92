"""A WebSocket client that does nothing by itself: it reads only when it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tests.waiting import PATIENCE


class RawClient:
    """`receive_buffer`: bytes the kernel should keep for it (it takes more than is asked for)."""

    def __init__(self, host: str, path: str, receive_buffer: int | None = None) -> None:
        address, port = host.split(":")
        self._protocol = ClientProtocol(parse_uri(f"ws://{host}{path}"), max_size=None)
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE)
        self._socket.connect((address, int(port)))

    async def open(self) -> None:
        """Shake hands, and read no further than that."""
        await asyncio.to_thread(self._open)

    def read_until_close(self) -> tuple[list[str], int | None, str | None]:
        """The text messages that came, and the close code and reason; None and None without a close frame."""
        texts = []
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    texts.append(bytes(event.data).decode())
            close = self._protocol.close_rcvd
            if close is not None:
                self._socket.close()
                return texts, close.code, close.reason
            if not self._read(1 << 16):
                self._socket.close()
                return texts, None, None

    def send(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def close(self) -> None:
        """Close the connection without a close frame."""
        self._socket.close()

    def abort(self) -> None:
        """Vanish: the connection is reset, no close frame is sent."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _open(self) -> None:
        self._protocol.send_request(self._protocol.connect())
        self._socket.sendall(b"".join(self._protocol.data_to_send()))
        while not any(isinstance(event, Response) for event in self._protocol.events_received()):
            assert self._read(1), "the server closed instead of answering"

    def _read(self, size: int) -> bool:
        try:
            data = self._socket.recv(size)
        except ConnectionResetError:
            data = b""
        if data:
            self._protocol.receive_data(data)
        return bool(data)
