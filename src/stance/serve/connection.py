"""uvicorn's connection with deadlines: neither a slow sender nor a slow reader is kept."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 15  # from the first byte (or the connection) to the end of a request's head
READ_SECONDS = 30  # in which a client must take some of an answer that does not fit the buffer
IDLE_SECONDS = 30  # between two requests, and for the rest of the last answer


class Connection(HttpToolsProtocol):
    """Cuts clients off that send a head byte by byte or do not read their answer.

    A body's deadline is the guard's, which knows how to say 408.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head is awaited from now on."""
        super().connection_made(transport)
        self._head = _Deadline(self.loop, transport)
        self._answer = _Deadline(self.loop, transport)
        self._head.set(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """A further request on the same connection."""
        super().on_message_begin()
        self._head.set(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head.lift()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        super().pause_writing()
        self._answer.set(READ_SECONDS)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._answer.lift()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Idle: close, and do not wait for a client that leaves its answer unread."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._head.lift()
        self._answer.lift()
        super().connection_lost(exc)


class _Deadline:
    """Cuts a connection off unless it is lifted in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        self.lift()
        self._timer = self._loop.call_later(seconds, self._transport.abort)

    def lift(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
