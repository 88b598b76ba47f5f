"""The one bounded line in which all requests of a process wait for the model."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")

# Sentences that may wait per model thread: a few seconds of work on a slow core.
SENTENCES_PER_THREAD = 1000


class Overloaded(Exception):  # noqa: N818 - the state of the service, not a mistake
    """The line is full, or its end was not reached in time; try again in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the service is busy; try again in {retry_after} s")
        self.retry_after = retry_after


class ClientGone(Exception):  # noqa: N818 - nobody is left to be told
    """Whoever asked has closed the connection."""


class WorkQueue:
    """Admits work while there is room, runs it in order, and drops what nobody waits for.

    The room is counted in sentences, because they are what costs time. To be used from one event
    loop; the work runs in threads of its own.

    Args:
        threads: the model's threads. Twice as many requests are in work at once, so that the
            model never waits for one of them to be rendered.
        largest: sentences of the largest request; one such request never locks the others out.
        timeout: seconds from admission to answer.
        watch: called with the number of pending sentences whenever it changes.
    """

    def __init__(
        self, threads: int, largest: int, timeout: float, watch: Callable[[int], object]
    ) -> None:
        self.capacity = largest + SENTENCES_PER_THREAD * threads
        self._pending = 0
        self._watch = watch
        self._timeout = timeout
        self._last_wait = 0.0
        self._executor = ThreadPoolExecutor(2 * threads, thread_name_prefix="stance-request")

    async def run(
        self,
        size: int,
        work: Callable[[], Iterable[Result]],
        render: Callable[[list[Result]], bytes],
        gone: Callable[[], Coroutine[Any, Any, None]],
    ) -> bytes:
        """Collect what `work()` yields and render it.

        Args:
            size: sentences that it holds room for.
            work: called in a thread; abandoned between two results when nobody waits any more.
            render: called in the same thread with all results.
            gone: returns when the client has left.

        Raises:
            Overloaded: no room, or the timeout passed.
            ClientGone: the client left first.
        """
        if self._pending + size > self.capacity:
            raise Overloaded(self.retry_after)
        self._change(size)
        abandoned = threading.Event()
        asked = time.monotonic()

        def collect() -> bytes:
            results = []
            # Asked before the first result too: a request may be given up while it waits in line.
            if not abandoned.is_set():
                for result in work():
                    results.append(result)
                    if abandoned.is_set():
                        break
            return b"" if abandoned.is_set() else render(results)

        answer: asyncio.Future[bytes] = asyncio.get_running_loop().run_in_executor(
            self._executor, collect
        )
        answer.add_done_callback(partial(self._leave, size, asked))
        leaving = asyncio.create_task(gone())
        try:
            first: list[asyncio.Future[Any]] = [answer, leaving]
            await asyncio.wait(first, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if leaving.done():
                raise ClientGone
            raise Overloaded(self.retry_after)
        finally:
            abandoned.set()
            leaving.cancel()

    @property
    def retry_after(self) -> int:
        """Seconds after which the line has probably moved on: what the last request took."""
        return max(1, math.ceil(self._last_wait))

    def close(self) -> None:
        """Start nothing that still waits, and let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, size: int, asked: float, answer: asyncio.Future[bytes]) -> None:
        self._change(-size)
        self._last_wait = time.monotonic() - asked
        if not answer.cancelled():
            # Looked at, or asyncio would log it, text and all, where nobody waits any more.
            answer.exception()

    def _change(self, sentences: int) -> None:
        self._pending += sentences
        self._watch(self._pending)
