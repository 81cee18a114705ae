"""Socket Mode: envelopes over websockets, to any one of up to ten connections.

Protocol: docs.slack.dev/apis/events-api/using-socket-mode.
"""

import asyncio
import json
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from bot.sandbox.model import Json
from bot.sandbox.signals import Signal, Tasks
from bot.sandbox.tickets import SocketTickets

MAX_CONNECTIONS = 10
LIFETIME_SECONDS = 4 * 3600.0
DEBUG_LIFETIME_SECONDS = 360.0
WARNING_SECONDS = 10.0


@dataclass(eq=False, slots=True)
class Connection:
    """One websocket. A retiring one gets no new envelopes, but its acknowledgements still count."""

    socket: web.WebSocketResponse
    retiring: bool = False


class Sockets:
    """The connections of the app, and the envelopes that wait for an acknowledgement."""

    kind = "socket"

    def __init__(self, app_id: str, tickets: SocketTickets, tasks: Tasks, signal: Signal) -> None:
        self._app_id = app_id
        self.tickets = tickets
        self._tasks = tasks
        self._signal = signal
        self._connections: list[Connection] = []
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    @property
    def connected(self) -> bool:
        """Whether an envelope could be sent at this moment."""
        return any(not connection.retiring for connection in self._connections)

    async def send(self, kind: str, body: Json, retry: tuple[int, str] | None = None) -> Any:
        """Send one payload to one connection and return the payload of its acknowledgement, if any.

        Waits for a connection when there is none; the caller sets the time limit.
        """
        connection = await self._next_connection()
        envelope: Json = {
            "envelope_id": str(uuid.uuid4()),
            "payload": body,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope["retry_attempt"], envelope["retry_reason"] = retry or (0, "")
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = waiter
        try:
            await connection.socket.send_json(envelope)
            return await waiter
        finally:
            del self._waiting[envelope["envelope_id"]]

    async def _next_connection(self) -> Connection:
        while True:
            for connection in self._connections:
                if not connection.retiring and not connection.socket.closed:
                    # To the end of the line: every payload goes to one connection, in turn.
                    self._connections.remove(connection)
                    self._connections.append(connection)
                    return connection
            await self._signal.changed()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """The `/socket` route: greet, then take acknowledgements until the peer leaves."""
        if not self.tickets.redeem(request.query.get("ticket", "")):
            raise web.HTTPForbidden(text="Not a valid ticket. Call apps.connections.open for a new one.")
        socket = web.WebSocketResponse(heartbeat=10)
        await socket.prepare(request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        lifetime = DEBUG_LIFETIME_SECONDS if request.query.get("debug_reconnects") else LIFETIME_SECONDS
        connection = Connection(socket)
        self._connections.append(connection)
        expiry = self._tasks.start(self._retire_after(connection, lifetime))
        try:
            await self._greet(socket, lifetime)
            self._signal.bump()
            await self._receive(socket)
        finally:
            expiry.cancel()
            self._connections.remove(connection)
            self._signal.bump()
        return socket

    async def _greet(self, socket: web.WebSocketResponse, lifetime: float) -> None:
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self._connections),
                "connection_info": {"app_id": self._app_id},
                "debug_info": {
                    "host": f"sandbox-{secrets.token_hex(3)}",
                    "build_number": 1,
                    "approximate_connection_time": int(lifetime),
                },
            }
        )

    async def _receive(self, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            try:
                answer = json.loads(frame.data)
                envelope_id, payload = answer["envelope_id"], answer.get("payload")
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            # By envelope, not by connection: a client that reconnects acknowledges on the new one.
            waiter = self._waiting.get(envelope_id)
            if waiter and not waiter.done():
                waiter.set_result(payload)

    async def _retire_after(self, connection: Connection, lifetime: float) -> None:
        await asyncio.sleep(lifetime - WARNING_SECONDS)
        if not connection.socket.closed:
            await connection.socket.send_json(self._disconnect("warning"))
        await asyncio.sleep(WARNING_SECONDS)
        await self._retire(connection)

    def _disconnect(self, reason: str) -> Json:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}

    async def refresh(self) -> None:
        """Ask every connection to reconnect, as Slack does every few hours."""
        for connection in list(self._connections):
            await self._retire(connection)

    async def _retire(self, connection: Connection) -> None:
        if connection.retiring or connection.socket.closed:
            return
        connection.retiring = True
        self._signal.bump()
        await connection.socket.send_json(self._disconnect("refresh_requested"))
        self._tasks.start(self._close_later(connection))

    async def _close_later(self, connection: Connection) -> None:
        await asyncio.sleep(WARNING_SECONDS)
        await connection.socket.close()

    async def close(self) -> None:
        """Drop every connection."""
        for connection in list(self._connections):
            await connection.socket.close(code=1001)
