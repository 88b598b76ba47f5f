"""What every request passes through: limits, deadlines, security headers, counts, no traceback."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stance.serve.failures import failure
from stance.serve.metrics import Metrics

BODY_SECONDS = 30  # for the whole body of a request
REQUESTS = 256  # in progress at once, bodies included: what bounds the memory

# The page needs its own script and style and its own service, nothing else.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CLOSE = {"Connection": "close"}  # what is left of the request is not read

_log = logging.getLogger("stance.serve")


class Guard:
    """Wraps the application.

    Args:
        app: the application.
        paths: its paths; any other is counted as `other`.
        max_body: bytes that a request may have.
        metrics: where requests are counted.
    """

    def __init__(
        self, app: ASGIApp, paths: Collection[str], max_body: int, metrics: Metrics
    ) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._max_body = max_body
        self._metrics = metrics
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        self._in_progress += 1
        try:
            app = self._refusal(scope) or self._app
            await app(scope, self._bounded(receive), send_guarded)
        except Exception as error:
            # Its message may quote a user's text, so only its kind and place are logged.
            place = traceback.extract_tb(error.__traceback__)[-1]
            file = Path(place.filename).name
            _log.error("%s in %s:%s", type(error).__name__, file, place.lineno)
            if not status:
                answer = failure(500, "the service failed at this request; its log says where")
                await answer(scope, receive, send_guarded)
        finally:
            self._in_progress -= 1
            path = scope["path"] if scope["path"] in self._paths else "other"
            # 499 is nginx's code for a client that left before it was answered.
            self._metrics.requests.labels(path, str(status or 499)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Response | None:
        """An answer that needs no look at the body."""
        if scope["method"] == "POST" and self._in_progress > REQUESTS:
            return failure(503, "too many requests at once; try again in 1 s", {"Retry-After": "1"})
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            return failure(413, self._too_large, _CLOSE)
        return None

    @property
    def _too_large(self) -> str:
        return f"the request has more than {self._max_body} bytes; send it in parts"

    def _bounded(self, receive: Receive) -> Receive:
        """`receive` that raises once the body is too large or too slow."""
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        size, complete = 0, False

        async def receive_bounded() -> Message:
            nonlocal size, complete
            if complete:  # what comes next is the client's leaving, whenever that is
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                reason = f"the request did not arrive within {BODY_SECONDS} s"
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, reason, _CLOSE) from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > self._max_body:
                raise HTTPException(413, self._too_large, _CLOSE)
            return message

        return receive_bounded
