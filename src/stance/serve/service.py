"""What the routes under `/v1` do: check the size, wait for the model, answer with its results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar

from fastapi import HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from stance import __version__
from stance.bundle import Bundle
from stance.errors import BundleError
from stance.html import render_article
from stance.predictor import Predictor
from stance.readers import Line
from stance.results import Prediction, SentencePrediction
from stance.sentences import iter_sentences
from stance.serve.metrics import Metrics
from stance.serve.openapi import AnalyzeRequest, PredictRequest
from stance.serve.queue import WorkQueue
from stance.summary import check_bundle, summarise

_LONGEST_TITLE = 200

Result = TypeVar("Result", bound=Prediction)
Form = Annotated[
    Literal["json", "html"], Query(alias="format", description="`html`: a page to keep or print.")
]
WithSummary = Annotated[
    bool,
    Query(alias="summary", description="Add `summary`, who says what; the model needs spans."),
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


class Service:
    """A predictor, the line in front of it, and the answers.

    Args:
        predictor: labels the texts; its threads are the ones that the requests share.
        limits: what a request may ask for.
        metrics: where sentences are counted.
    """

    def __init__(self, predictor: Predictor, limits: Limits, metrics: Metrics) -> None:
        self._predictor = predictor
        self._limits = limits
        self._metrics = metrics
        self._summarisable = _is_summarisable(predictor.bundle)
        self._queue = WorkQueue(
            predictor.threads, limits.max_sentences, limits.timeout, watch=metrics.pending.set
        )
        metrics.capacity.set(self._queue.capacity)

    async def predict(self, body: PredictRequest, request: Request) -> Response:
        """Label each text as one sentence."""
        self._check_length(sum(map(len, body.texts)))
        work = partial(self._predictor.stream, body.texts)
        content = await self._run(request, len(body.texts), work, _as_predictions)
        return Response(content, media_type="application/json")

    async def analyze(
        self,
        body: AnalyzeRequest,
        request: Request,
        form: Form = "json",
        with_summary: WithSummary = False,
    ) -> Response:
        """Split a document into sentences and label each."""
        self._check_length(len(body.text))
        # In a thread: some texts take the splitter a tenth of a second.
        size = await asyncio.to_thread(_count_sentences, body.text, self._limits.max_sentences + 1)
        work = partial(self._predictor.analyze_lines, [Line(body.text, 0)])
        if form == "html":
            page = await self._run(request, size, work, partial(_as_html, body.text))
            # To be saved: the service's own page is the only one that runs at its address.
            headers = {"Content-Disposition": 'attachment; filename="stance.html"'}
            return Response(page, media_type="text/html", headers=headers)
        render = partial(_as_analysis, with_summary=with_summary and self._summarisable)
        content = await self._run(request, size, work, render)
        return Response(content, media_type="application/json")

    async def model(self) -> JSONResponse:
        """The bundle's manifest, typed as `Bundle`, and the limits."""
        card = asdict(self._predictor.bundle)
        del card["path"]  # a place on the server is nobody else's business
        return JSONResponse({"version": __version__, **card, "limits": asdict(self._limits)})

    async def healthz(self) -> dict[str, str]:
        """The event loop turns and the model is loaded."""
        return {"status": "ok", "version": __version__}

    def close(self) -> None:
        """Start no further work."""
        self._queue.close()

    def _check_length(self, characters: int) -> None:
        limit = self._limits.max_chars
        if characters > limit:
            raise HTTPException(413, f"more than {limit} characters; send them in parts")

    async def _run(
        self,
        request: Request,
        size: int,
        work: Callable[[], Iterable[Result]],
        render: Callable[[list[Result]], bytes],
    ) -> bytes:
        limit = self._limits.max_sentences
        if size > limit:
            raise HTTPException(413, f"more than {limit} sentences; send them in parts")
        content = await self._queue.run(size, work, render, partial(_disconnected, request))
        self._metrics.sentences.inc(size)
        return content


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
    # A lone surrogate, which JSON can carry, has no UTF-8 form.
    return render_article(title, text, sentences).encode("utf-8", "replace")


async def _disconnected(request: Request) -> None:
    """Returns once the client has left; the body has been read, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
