"""The routes: parse, wait for the model, answer with the predictor's own results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from stance import __version__
from stance.bundle import Bundle
from stance.errors import BundleError
from stance.html import render_article
from stance.predictor import Predictor
from stance.readers import Line
from stance.results import Prediction, SentencePrediction
from stance.sentences import iter_sentences
from stance.serve.failures import handle_failures
from stance.serve.guard import Guard
from stance.serve.metrics import Metrics
from stance.serve.openapi import (
    DESCRIPTION,
    DOCUMENT,
    SENTENCES,
    AnalyzeRequest,
    PredictRequest,
    answers,
    prediction_schema,
    sentence_schema,
)
from stance.serve.queue import WorkQueue
from stance.summary import check_bundle, summarise

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/messages.js": ("messages.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_BYTES_PER_CHARACTER = 6  # JSON's longest way to write most characters: \u0041
_JSON_OVERHEAD = 16_384
_LONGEST_TITLE = 200

Result = TypeVar("Result", bound=Prediction)
AnalyzeForm = Annotated[
    Literal["json", "html"], Query(alias="format", description="`html`: a page to keep or print.")
]
WithSummary = Annotated[
    bool,
    Query(alias="summary", description="Add `summary`: who says what. Needs a model with spans."),
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, and how long it may wait.

    `max_chars` counts the characters of all its texts, `max_sentences` its texts or the sentences
    of its document, `timeout` seconds from the moment it is admitted.
    """

    max_chars: int = 100_000
    max_sentences: int = 2_000
    timeout: float = 30.0


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
    bundle = predictor.bundle
    metrics = Metrics()
    queue = WorkQueue(
        predictor.threads, limits.max_sentences, limits.timeout, watch=metrics.pending.set
    )
    metrics.capacity.set(queue.capacity)
    summarisable = _is_summarisable(bundle)
    # The first answer is the slowest, so it is given here; and what OpenAPI shows is never stale.
    predictions = [one.to_dict() for one in predictor.predict(SENTENCES)]
    sentences = [one.to_dict() for one in predictor.analyze(DOCUMENT)]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()
        metrics.close()

    app = FastAPI(
        title="stance",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # both would load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
            expose_headers=["Retry-After"],
        )

    async def answer(
        request: Request,
        size: int,
        work: Callable[[], Iterable[Result]],
        render: Callable[[list[Result]], bytes],
    ) -> bytes:
        if size > limits.max_sentences:
            raise HTTPException(
                413, f"more than {limits.max_sentences} sentences; send them in parts"
            )
        content = await queue.run(size, work, render, _disconnected(request))
        metrics.sentences.inc(size)
        return content

    def check_length(characters: int) -> None:
        if characters > limits.max_chars:
            raise HTTPException(413, f"more than {limits.max_chars} characters; send them in parts")

    @app.post(
        "/v1/predict",
        summary="Label sentences",
        responses=answers(
            "A prediction per text, in the same order.",
            "predictions",
            prediction_schema(bundle),
            {"predictions": predictions},
        ),
    )
    async def predict(body: PredictRequest, request: Request) -> Response:
        check_length(sum(map(len, body.texts)))
        work = partial(predictor.stream, body.texts)
        content = await answer(request, len(body.texts), work, _as_predictions)
        return Response(content, media_type="application/json")

    @app.post(
        "/v1/analyze",
        summary="Split a document and label its sentences",
        responses=answers(
            "A prediction per sentence, with offsets into the text.",
            "sentences",
            sentence_schema(bundle),
            {"sentences": sentences},
        ),
    )
    async def analyze(
        body: AnalyzeRequest,
        request: Request,
        form: AnalyzeForm = "json",
        with_summary: WithSummary = False,
    ) -> Response:
        check_length(len(body.text))
        # In a thread: some texts take the splitter a tenth of a second.
        size = await asyncio.to_thread(_count_sentences, body.text, limits.max_sentences + 1)
        work = partial(predictor.analyze_lines, [Line(body.text, 0)])
        if form == "html":
            page = await answer(request, size, work, partial(_as_html, body.text))
            # To be saved: the service's own pages are the only ones that run at its address.
            headers = {"Content-Disposition": 'attachment; filename="stance.html"'}
            return Response(page, media_type="text/html", headers=headers)
        render = partial(_as_analysis, with_summary=with_summary and summarisable)
        content = await answer(request, size, work, render)
        return Response(content, media_type="application/json")

    @app.get("/v1/model", summary="The model's card and the service's limits")
    async def model() -> JSONResponse:
        card = asdict(bundle)
        del card["path"]  # a place on the server is nobody else's business
        return JSONResponse({"version": __version__, **card, "limits": asdict(limits)})

    @app.get("/healthz", summary="Whether the service answers")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def prometheus() -> PlainTextResponse:
        return PlainTextResponse(metrics.render())

    for path, (name, kind) in _PAGE.items():
        # Read now: no path that a request names is ever opened.
        content = files("stance.serve").joinpath("page", name).read_bytes()
        app.add_route(path, _static(content, kind), include_in_schema=False)

    handle_failures(app)
    paths = [*app.openapi()["paths"], *_PAGE, "/openapi.json"]
    max_body = _JSON_OVERHEAD + _BYTES_PER_CHARACTER * limits.max_chars
    return Guard(app, paths, max_body, metrics)


def _is_summarisable(bundle: Bundle) -> bool:
    try:
        check_bundle(bundle)
    except BundleError:
        return False
    return True


def _count_sentences(text: str, enough: int) -> int:
    return sum(1 for _ in islice(iter_sentences(text), enough))


def _as_predictions(predictions: Sequence[Prediction]) -> bytes:
    results = [prediction.to_dict() for prediction in predictions]
    return json.dumps({"predictions": results}).encode("ascii")


def _as_analysis(sentences: Sequence[SentencePrediction], with_summary: bool) -> bytes:
    analysis: dict[str, Any] = {"sentences": [sentence.to_dict() for sentence in sentences]}
    if with_summary:
        analysis["summary"] = summarise(sentences).to_dict()
    return json.dumps(analysis).encode("ascii")


def _as_html(text: str, sentences: Sequence[SentencePrediction]) -> bytes:
    title = text.strip().partition("\n")[0][:_LONGEST_TITLE]
    return render_article(title, text, sentences).encode()


async def _disconnected(request: Request) -> None:
    """Returns once the client has left; the body has been read, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _static(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(content, media_type=kind)

    return serve
