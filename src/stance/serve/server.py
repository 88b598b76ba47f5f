"""Start the service: the socket, the processes, and an end that lets requests finish."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from stance.bundle import Bundle
from stance.errors import StanceError
from stance.predictor import Predictor, available_cores, default_bundle
from stance.serve.app import create_app
from stance.serve.connection import IDLE_SECONDS, Connection
from stance.serve.metrics import FOLDER_VARIABLE
from stance.serve.service import Limits

GRACE_SECONDS = 30  # in which running requests may end after SIGTERM or Ctrl-C
START_SECONDS = 60  # in which a worker must have loaded its libraries, on a busy machine too


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve: a bundle (the shipped one when None), where, and within which limits.

    `workers` are processes, each with its own model and line; `threads` are each one's model
    threads (all available cores, shared out among the workers, when None).
    """

    model: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    cors_origins: tuple[str, ...] = ()

    def __call__(self) -> ASGIApp:
        """The application, made in the process that serves it."""
        threads = self.threads or max(1, available_cores() // self.workers)
        return create_app(Predictor(self.model, threads), self.limits, self.cors_origins)


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; running requests may end.

    Args:
        settings: what and where.
        announce: called with the address once the socket is open.

    Raises:
        BundleError: the bundle cannot be used.
        StanceError: the address cannot be listened on.
    """
    Bundle.load(settings.model or default_bundle())  # fails here, once, not in every worker
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    config = configure(settings, settings.workers)
    announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    if settings.workers == 1:
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once all has ended
            Server(config).run([listener])
        return
    with tempfile.TemporaryDirectory(prefix="stance-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder  # the workers inherit it
        Multiprocess(config, [listener]).run()


def configure(make_app: Callable[[], ASGIApp], workers: int = 1) -> Config:
    """The server's own settings; `make_app` is called in the process that serves."""
    return Config(
        make_app,
        factory=True,
        http=Connection,
        ws="none",
        workers=workers,
        access_log=False,  # a path or query may hold a user's text; /metrics counts
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # nothing depends on the client's address
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=START_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or error
        raise StanceError(
            f"cannot listen on {host}, port {port}: {reason}; choose others with --host and --port"
        ) from None
    listener.set_inheritable(True)
    return listener
