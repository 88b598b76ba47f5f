"""Texts in, predictions out: tokenise, run the graph, calibrate, on every core.

Each text is run alone. Sorted batches would be up to a tenth faster, but dynamic int8 takes one
activation scale per tensor, so a sentence's probabilities would depend on what shares its batch.
Alone, they cannot; nothing is spent on padding; and one text costs what it costs in a stream.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from stance.bundle import MODEL, TOKENIZER, Bundle
from stance.errors import BundleError, InputError
from stance.kernels import session_options
from stance.readers import Line
from stance.results import Prediction, SentencePrediction
from stance.sentences import split_sentences
from stance.spans import TAGS, decode_span

# Texts that one worker takes at a time: enough to hide the hand-over, few enough to share fairly.
_CHUNK = 16
# No piece of the vocabulary is longer, so what follows this many characters per token is never
# read; cutting there keeps the cost of a huge line constant.
_CHARACTERS_PER_TOKEN = 32


def default_bundle() -> Path:
    """The bundle that `stance` ships: inside the installed package, or in the source checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "default_bundle"
    return installed if installed.is_dir() else here.parents[1] / "artifacts" / "default"


class Predictor:
    """Reads a bundle once and labels texts with it.

    Safe to share between threads. After a fork, or when unpickled, the graph is loaded anew.

    Args:
        path: bundle folder; the shipped bundle when omitted.
        threads: worker threads for streams and lists; all available cores when omitted.
        providers: onnxruntime execution providers, in order of preference; the CPU when omitted.
        abstain: report `uncertain` where a label's probability is below its threshold.

    Raises:
        BundleError: the bundle is missing, incomplete, altered or not loadable.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        abstain: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.bundle = Bundle.load(path if path is not None else default_bundle())
        self.threads = threads or available_cores()
        self.providers = tuple(providers or ("CPUExecutionProvider",))
        self.abstain = abstain
        self._load()

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Label each text as one sentence; the result has the same length and order."""
        if isinstance(texts, str):
            raise TypeError("predict() takes a list of texts; for one text use predict_one()")
        return list(self.stream(texts))

    def predict_batch(
        self, batch: Mapping[str, Any], text_column: str = "text", prefix: str = ""
    ) -> dict[str, Any]:
        """Label a batch of columns: for `datasets.map(batched=True)` or Ray Data's `map_batches`.

        Args:
            batch: columns of equal length.
            text_column: the column with one sentence per row.
            prefix: put before the names of the added columns, so as not to replace any.

        Returns:
            The given columns, and per head its label and `HEAD_confidence`; per span its text,
            empty where there is none; and `truncated`.

        Raises:
            InputError: there is no such column, or a row of it is not text.
        """
        if text_column not in batch:
            raise InputError(f"no column {text_column!r}; there are: {', '.join(batch)}")
        texts = list(batch[text_column])
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                kind = type(text).__name__
                raise InputError(f"row {row} of column {text_column!r} is {kind}, not text")
        answers = self.predict(texts)
        added: dict[str, list[Any]] = {}
        for head in self.bundle.heads:
            added[head.name] = [answer[head.name].label for answer in answers]
            confidences = [answer[head.name].confidence for answer in answers]
            added[f"{head.name}_confidence"] = confidences
        for name in self.bundle.spans:
            found = [answer.spans.get(name) for answer in answers]
            added[name] = ["" if span is None else span.text for span in found]
        added["truncated"] = [answer.truncated for answer in answers]
        return {**batch, **{f"{prefix}{name}": column for name, column in added.items()}}

    def predict_one(self, text: str) -> Prediction:
        """Label one sentence in the calling thread."""
        return self._run_one(self._runtime(), text)

    def analyze(self, document: str) -> list[SentencePrediction]:
        """Split a document into sentences and label each; offsets are into `document`."""
        if not isinstance(document, str):
            raise TypeError(f"a document is a str, not {type(document).__name__}; decode it first")
        return list(self.analyze_lines([Line(document, 0)]))

    def analyze_lines(self, lines: Iterable[Line]) -> Iterator[SentencePrediction]:
        """As `analyze`, for a document that comes in lines: nothing but a window is in memory."""
        sentences = (
            (sentence, line.start) for line in lines for sentence in split_sentences(line.text)
        )
        asked, answered = tee(sentences)
        answers = self.stream(sentence.text for sentence, _ in asked)
        for (sentence, offset), answer in zip(answered, answers, strict=True):
            start = offset + sentence.start
            spans = {
                name: replace(span, start=start + span.start, end=start + span.end)
                for name, span in answer.spans.items()
            }
            yield SentencePrediction(
                answer.text,
                answer.heads,
                answer.truncated,
                spans,
                start=start,
                end=offset + sentence.end,
            )

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Label texts as they come, in order, in memory that does not grow with their number."""
        runtime = self._runtime()
        source = iter(texts)
        pending: deque[Future[list[Prediction]]] = deque()
        while chunk := list(islice(source, _CHUNK)):
            pending.append(runtime.workers.submit(self._run_many, runtime, chunk))
            # Two chunks per worker keep every worker busy while the oldest is handed out.
            if len(pending) > 2 * self.threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()

    def logits(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Uncalibrated scores of the graph per head, shape (texts, labels): to calibrate on."""
        runtime = self._runtime()
        rows = runtime.workers.map(
            lambda text: self._graph(runtime, self._encode(runtime, text)), texts
        )
        collected: dict[str, list[np.ndarray]] = {head.name: [] for head in self.bundle.heads}
        for row in rows:
            for name, values in collected.items():
                values.append(row[name])
        return {name: np.stack(values) for name, values in collected.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        # With the checksums, by which caches such as that of `datasets.map` tell models apart.
        files = dict(self.bundle.files)
        return _restored, (self.bundle.path, self.threads, self.providers, self.abstain, files)

    def _load(self) -> _Runtime:
        runtime = _Runtime(self.bundle, self.threads, self.providers)
        # In one step, so that no other thread sees the process without its runtime.
        self._loaded = os.getpid(), runtime
        return runtime

    def _runtime(self) -> _Runtime:
        process, runtime = self._loaded
        # Threads do not survive a fork. Two that arrive first may both load; either will do.
        return runtime if process == os.getpid() else self._load()

    def _run_many(self, runtime: _Runtime, texts: list[str]) -> list[Prediction]:
        return [self._run_one(runtime, text) for text in texts]

    def _run_one(self, runtime: _Runtime, text: str) -> Prediction:
        encoding = self._encode(runtime, text)
        outputs = self._graph(runtime, encoding)
        heads = {
            head.name: head.read_out(outputs[head.name], self.abstain) for head in self.bundle.heads
        }
        spans = {
            name: span
            for name in self.bundle.spans
            if (span := decode_span(outputs[name], encoding.offsets, text)) is not None
        }
        read = _CHARACTERS_PER_TOKEN * self.bundle.max_length
        truncated = bool(encoding.overflowing) or len(text) > read
        return Prediction(text, heads, truncated, spans)

    def _graph(self, runtime: _Runtime, encoding: Encoding) -> dict[str, np.ndarray]:
        """The graph's outputs for one text: (labels,) per head, (tokens, 3 or 2) per span."""
        ids = np.array([encoding.ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        outputs = runtime.session.run(runtime.outputs, inputs)
        return {name: rows[0] for name, rows in zip(runtime.outputs, outputs, strict=True)}

    def _encode(self, runtime: _Runtime, text: str) -> Encoding:
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}; decode or convert it")
        head = text[: self.bundle.max_length * _CHARACTERS_PER_TOKEN]
        # Lone surrogates have no UTF-8 form, which is what the tokenizer reads; one character
        # stands for one, so that offsets hold.
        return runtime.tokenizer.encode(head.encode("utf-8", "replace").decode("utf-8"))


def _restored(
    path: Path,
    threads: int,
    providers: tuple[str, ...],
    abstain: bool,
    files: Mapping[str, str],
) -> Predictor:
    predictor = Predictor(path, threads, providers, abstain)
    if dict(predictor.bundle.files) != files:
        raise BundleError(f"{path} is not the bundle that was pickled; make the predictor anew")
    return predictor


class _Runtime:
    """What belongs to one process: the tokenizer, the session and its workers."""

    def __init__(self, bundle: Bundle, threads: int, providers: tuple[str, ...]) -> None:
        try:
            self.tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER))
            self.session = ort.InferenceSession(
                str(bundle.path / MODEL), session_options(), providers=list(providers)
            )
        except Exception as error:  # both libraries raise bare or private types
            reason = str(error).splitlines()[0]
            raise BundleError(f"{bundle.path} cannot be loaded: {reason}") from error
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(bundle.max_length)
        self.outputs = [head.name for head in bundle.heads] + list(bundle.spans)
        widths = {output.name: output.shape[-1] for output in self.session.get_outputs()}
        for head in bundle.heads:
            if widths.get(head.name) != len(head.labels):
                raise BundleError(
                    f"{bundle.path}: the graph has no output {head.name!r} of "
                    f"{len(head.labels)} labels; model and manifest do not belong together"
                )
        for name in bundle.spans:
            if widths.get(name) not in (len(TAGS), 2):  # two before format 4
                raise BundleError(f"{bundle.path}: the graph has no span output {name!r}")
        self.workers = ThreadPoolExecutor(threads, thread_name_prefix="stance")


def available_cores() -> int:
    """Cores this process may use: containers often grant fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
