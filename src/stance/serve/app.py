"""The ASGI application: routes, the page's files, and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from stance import __version__
from stance.predictor import Predictor
from stance.serve.failures import handle_failures
from stance.serve.guard import Guard
from stance.serve.metrics import Metrics
from stance.serve.openapi import DESCRIPTION, analyze_answers, predict_answers
from stance.serve.service import Limits, Service

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/results.js": ("results.js", "text/javascript"),
    "/shared.js": ("shared.js", "text/javascript"),
    "/messages.js": ("messages.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_BYTES_PER_CHARACTER = 6  # JSON's longest way to write most characters: \u0041
_JSON_OVERHEAD = 16_384


def create_app(
    predictor: Predictor, limits: Limits | None = None, cors_origins: Sequence[str] = ()
) -> ASGIApp:
    """The service as an ASGI application.

    Args:
        predictor: labels the texts; its threads are the ones that the requests share.
        limits: what a request may ask for.
        cors_origins: origins whose pages may call the service from a browser.
    """
    limits = limits or Limits()
    metrics = Metrics()
    service = Service(predictor, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()
        metrics.close()

    async def prometheus() -> PlainTextResponse:
        return PlainTextResponse(metrics.render())

    app = FastAPI(
        title="stance",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # both would load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would send the article to whatever host the request names
        lifespan=lifespan,
    )
    app.post(
        "/v1/predict",
        summary="Label sentences",
        description="Labels each text as one sentence.",
        responses=predict_answers(predictor),
    )(service.predict)
    app.post(
        "/v1/analyze",
        summary="Label a document",
        description="Splits a document into sentences and labels each.",
        responses=analyze_answers(predictor),
    )(service.analyze)
    app.get("/v1/model", summary="The model's card, and the limits")(service.model)
    app.get("/healthz", summary="Whether the service answers")(service.healthz)
    app.head("/healthz", include_in_schema=False)(service.healthz)
    app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)(
        prometheus
    )
    for path, (name, kind) in _PAGE.items():
        # Read now: no path that a request names is ever opened.
        content = files("stance.serve").joinpath("page", name).read_bytes()
        app.add_route(path, _file(content, kind), include_in_schema=False)
    handle_failures(app)
    paths = [*app.openapi()["paths"], *_PAGE, "/openapi.json"]
    guarded = Guard(app, paths, _JSON_OVERHEAD + _BYTES_PER_CHARACTER * limits.max_chars, metrics)
    if cors_origins:  # around the guard, whose refusals those pages have to read as well
        return CORSMiddleware(
            guarded,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
            expose_headers=["Retry-After"],
        )
    return guarded


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(content, media_type=kind)

    return serve
