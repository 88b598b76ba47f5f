"""uvicorn's connection with deadlines: neither a slow sender nor a slow reader is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 15  # from the first byte (or the connection) to the end of a request's head
HEAD_BYTES = 32 * 1024  # of a request's target and headers
READ_SECONDS = 30  # in which a client must take READ_BYTES of an answer, or all that is left
READ_BYTES = 64 * 1024
IDLE_SECONDS = 30  # between two requests


class Connection(HttpToolsProtocol):
    """Cuts clients off that send a head byte by byte or do not read their answer.

    A body's deadline is the guard's, which knows how to say 408.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head is awaited from now on."""
        super().connection_made(transport)
        self._head = _Deadline(self.loop, transport.abort)
        self._answer = _Deadline(self.loop, self._check_reader)
        self._unread = 0
        self._head_bytes = 0
        self._head.set(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Bytes that begin no request, such as blank lines, do not keep a connection."""
        super().data_received(data)
        answered = self.cycle is not None and self.cycle.response_complete
        if answered and self.timeout_keep_alive_task is None and not self._head.is_set:
            self._head.set(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """A further request on the same connection."""
        super().on_message_begin()
        self._head_bytes = 0
        self._head.set(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a body in chunks."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head.lift()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._answer.lift()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Idle, unless the client still takes its last answer."""
        if self.transport.get_write_buffer_size():
            self._await_reader()
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Answer what was sent meanwhile before reading more of it."""
        waiting = bool(self.pipeline)
        super().on_response_complete()
        if waiting and not self.transport.is_closing():
            self.flow.pause_reading()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self.transport.abort()

    def _await_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._answer.set(READ_SECONDS)

    def _check_reader(self) -> None:
        if self._unread - self.transport.get_write_buffer_size() >= min(READ_BYTES, self._unread):
            self._await_reader()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._head.lift()
        self._answer.lift()
        super().connection_lost(exc)


class _Deadline:
    """Calls `missed` unless it is lifted in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], None]) -> None:
        self._loop = loop
        self._missed = missed
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._timer is not None

    def set(self, seconds: float) -> None:
        self.lift()
        self._timer = self._loop.call_later(seconds, self._missed)

    def lift(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
