"""A bundle on labelled sentences: everything that a reader needs to judge it by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from stance import __version__
from stance.errors import ConfigError
from stance.explain import check_bundle
from stance.predictor import Predictor
from stance.results import Prediction
from training.baselines import BASELINES, Answer, InapplicableError
from training.config import Config
from training.corpus import DataFile, Example
from training.faithfulness import Faithfulness, measure_faithfulness
from training.reliability import Calibration, RiskCoverage, calibration, risk_coverage
from training.scheme import Scheme, Task, bundle_scheme, config_scheme
from training.scores import Groups, Sheet, Slice, SystemScore
from training.significance import Difference
from training.span_scores import Contradiction, SpanScore, find_contradictions, score_spans

_T = TypeVar("_T")
HARD_ERRORS = 10  # per head


@dataclass(frozen=True, slots=True)
class Abstention:
    """What the bundle's thresholds buy: the share of rows answered, and of errors among them."""

    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class Detail:
    """One task of the bundle.

    `confusion` counts rows by gold label (outer) and answer (inner), both in the order of
    `labels`. The rest is of reported labels: None for a fine task; `abstention` also where the
    head has no thresholds.
    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration | None
    risk_coverage: RiskCoverage | None
    abstention: Abstention | None


@dataclass(frozen=True, slots=True)
class HardError:
    """A confident mistake. `gold_probability` is what the bundle gave the right label."""

    task: str
    text: str
    gold: str
    predicted: str
    confidence: float
    gold_probability: float
    origin: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The baselines alone, or beside a bundle; `left_out` says why a baseline is missing."""

    files: tuple[DataFile, ...]
    rows: int
    systems: tuple[SystemScore, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation: `overview` ends with the bundle's own row, the rest is about that bundle."""

    bundle: str
    version: str
    overview: Comparison
    details: Mapping[str, Detail]
    by_length: tuple[Slice, ...]
    by_beat: tuple[Slice, ...]
    groups: Groups | None
    hard_errors: tuple[HardError, ...]
    spans: Mapping[str, SpanScore]
    contradictions: tuple[Contradiction, ...]
    faithfulness: Faithfulness | None
    against: str | None
    differences: Mapping[str, Difference]

    @property
    def own(self) -> SystemScore:
        """The bundle's row of the overview."""
        return self.overview.systems[-1]


def evaluate_bundle(
    bundle: Path,
    data: Sequence[str],
    baselines: Sequence[str] = (),
    against: Path | None = None,
    faithfulness: bool = False,
) -> Report:
    """Score a bundle on labelled files.

    Args:
        bundle: the bundle's folder.
        data: files or folders to score on, read by the bundle's own scheme.
        baselines: files or folders that the baselines learn from; none are run when empty.
        against: another bundle, to subtract on the same rows.
        faithfulness: also ask again without the predicted cues.

    Raises:
        BundleError: a bundle cannot be loaded, or finds no cue to measure faithfulness by.
        DataError: a row of the data is not in the bundle's scheme.
        ConfigError: the two bundles have no head in common.
    """
    predictor = Predictor(bundle)
    if faithfulness:
        check_bundle(predictor.bundle)
    scheme = bundle_scheme(predictor.bundle)
    dataset = scheme.read(data)
    texts = [example.text for example in dataset.examples]
    sheet = Sheet(dataset.examples, scheme.tasks)
    other = _other_answer(against, sheet, texts) if against else None
    answers, left_out = _baselines(scheme, baselines, texts, tuple(BASELINES))
    if other is not None:
        answers[str(against)] = other
    predictions = _predict(predictor, texts)
    own = bundle_answer(sheet.tasks, predictions)
    # The bundle's own name comes last and may be that of `against`: the same bundle, twice.
    systems = (*sheet.score(answers), *sheet.score({str(bundle): own}))
    return Report(
        bundle=str(bundle),
        version=__version__,
        overview=Comparison(dataset.files, len(texts), systems, left_out),
        details={task.name: _detail(task, sheet, own, predictions) for task in sheet.tasks},
        by_length=sheet.by_length(own),
        by_beat=sheet.by_beat(own),
        groups=sheet.groups(own),
        hard_errors=_hard_errors(sheet, own, predictions),
        spans=score_spans(dataset.examples, predictions, predictor.bundle.spans),
        contradictions=find_contradictions(predictions, predictor.bundle.spans),
        faithfulness=measure_faithfulness(predictor, predictions) if faithfulness else None,
        against=str(against) if against else None,
        differences=sheet.compare(other, own) if other is not None else {},
    )


def compare_baselines(
    scheme: Scheme, train: Sequence[str], data: Sequence[str], names: Sequence[str] = ()
) -> Comparison:
    """Score the baselines, or those whose names begin with `names`, on the rows of `data`.

    Raises:
        DataError: a row of either is not in the scheme.
        ConfigError: none of the baselines can be had.
    """
    dataset = scheme.read(data)
    texts = [example.text for example in dataset.examples]
    answers, left_out = _baselines(scheme, train, texts, known_baselines(names))
    if not answers:
        raise ConfigError("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    systems = Sheet(dataset.examples, scheme.tasks).score(answers)
    return Comparison(dataset.files, len(texts), systems, left_out)


def beside(
    config: Config, train: Sequence[Example], dev: Sequence[Example]
) -> tuple[SystemScore, ...]:
    """The scores on dev rows of the baselines that a run's card is to show."""
    names = known_baselines(config.export.baselines) if config.export.baselines else ()
    scheme = config_scheme(config)
    answers, _ = _fitted(scheme, train, [example.text for example in dev], names)
    return Sheet(dev, scheme.tasks).score(answers)


def _baselines(
    scheme: Scheme, train: Sequence[str], texts: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, Answer], dict[str, str]]:
    """The answers of the baselines by name, and why one is missing; none without `train`."""
    if not train:
        return {}, {}
    return _fitted(scheme, scheme.read(train).examples, texts, names)


def _fitted(
    scheme: Scheme, train: Sequence[Example], texts: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, Answer], dict[str, str]]:
    answers: dict[str, Answer] = {}
    left_out: dict[str, str] = {}
    for name in _progress(names, "Fitting baselines"):
        try:
            answers[name] = BASELINES[name](scheme, train)(texts)
        except InapplicableError as error:
            left_out[name] = str(error)
    return answers, left_out


def known_baselines(asked: Sequence[str]) -> tuple[str, ...]:
    """The baselines whose names begin as asked, or all where nothing is.

    Raises:
        ConfigError: no baseline's name begins so.
    """
    for name in asked:
        if not any(known.lower().startswith(name.lower()) for known in BASELINES):
            raise ConfigError(f"no baseline {name!r}; there are: {', '.join(BASELINES)}")
    begins = tuple(name.lower() for name in asked)
    return tuple(name for name in BASELINES if not asked or name.lower().startswith(begins))


def _other_answer(path: Path, sheet: Sheet, texts: Sequence[str]) -> Answer:
    """Another bundle's labels, for the tasks that it has in common with the sheet."""
    predictor = Predictor(path)
    known = {task.name: set(task.labels) for task in bundle_scheme(predictor.bundle).tasks}
    shared = [task for task in sheet.tasks if known.get(task.name) == set(task.labels)]
    if not shared:
        raise ConfigError(f"{path} has no head in common with this bundle: nothing to compare")
    return bundle_answer(shared, _predict(predictor, texts))


def _predict(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    return list(
        _progress(predictor.stream(texts), f"Reading by {predictor.bundle.path}", len(texts))
    )


def _progress(steps: Iterable[_T], what: str, total: int | None = None) -> Iterable[_T]:
    console = Console(stderr=True)
    return track(
        steps, what, total, console=console, transient=True, disable=not console.is_terminal
    )


def bundle_answer(tasks: Sequence[Task], predictions: Sequence[Prediction]) -> Answer:
    """The codes of the labels that a bundle gives, as baselines give theirs."""
    return {
        task.name: np.array(
            [task.labels.index(task.told(prediction[task.head.name])) for prediction in predictions]
        )
        for task in tasks
    }


def _detail(task: Task, sheet: Sheet, answer: Answer, predictions: Sequence[Prediction]) -> Detail:
    confusion = sheet.confusion(task, answer)
    if task.fine:
        return Detail(task.labels, confusion, None, None, None)
    rows = sheet.rows(task)
    right = sheet.right(task, answer)[rows]
    told = [predictions[row][task.head.name] for row in rows]
    confidence = np.array([one.confidence for one in told])
    sure = np.array([one.confidence >= one.threshold for one in told])
    abstention = None
    if any(one.threshold > 0 for one in told):
        risk = float(1 - right[sure].mean()) if sure.any() else 0.0
        abstention = Abstention(float(sure.mean()), risk)
    return Detail(
        task.labels,
        confusion,
        calibration(confidence, right),
        risk_coverage(confidence, right),
        abstention,
    )


def _hard_errors(
    sheet: Sheet, answer: Answer, predictions: Sequence[Prediction]
) -> tuple[HardError, ...]:
    """The most confident mistakes of each head, the worst first."""
    errors = []
    for task in sheet.reported:
        name = task.head.name
        wrong = np.flatnonzero(~sheet.right(task, answer)).tolist()
        wrong.sort(key=lambda row: -predictions[row][name].confidence)
        for row in wrong[:HARD_ERRORS]:
            told, gold = predictions[row][name], task.labels[sheet.gold(task)[row]]
            errors.append(
                HardError(
                    task.name,
                    predictions[row].text.encode("utf-8", "replace").decode("utf-8"),
                    gold,
                    told.model_label,
                    told.confidence,
                    told.probabilities[gold],
                    sheet.examples[row].origin,
                )
            )
    return tuple(errors)
