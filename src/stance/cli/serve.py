"""`stance serve`: the predictor over HTTP, and a page for people."""

from __future__ import annotations

from pathlib import Path

import click

from stance.errors import StanceError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks one."
)
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes, each with its own model and its own line of waiting requests.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Model threads of each process. [default: all cores, shared out]",
)
@click.option(
    "--max-chars",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Characters that one request may send.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=30,
    show_default=True,
    help="Seconds after which a request that has no answer yet is told to try again.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin call the service from a browser; repeatable. [default: none]",
)
def serve(
    host: str,
    port: int,
    model: Path | None,
    workers: int,
    threads: int | None,
    max_chars: int,
    timeout: float,
    cors_origins: tuple[str, ...],
) -> None:
    """Serve a page at / and an HTTP API under /v1, until Ctrl-C or SIGTERM.

    Whoever reaches the address may use it: there is no password. Put a proxy with TLS and a rate
    limit in front before you serve anything but this machine.
    """
    try:
        from stance.serve.server import Settings
        from stance.serve.server import serve as run
        from stance.serve.service import Limits
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "stance":
            raise
        raise StanceError(
            f"this command needs {error.name}: install with pip install 'stance[serve]'"
        ) from None

    limits = Limits(max_chars=max_chars, timeout=timeout)
    settings = Settings(model, host, port, workers, threads, limits, cors_origins)
    run(settings, lambda address: click.echo(f"serving on {address} (Ctrl-C stops)", err=True))
