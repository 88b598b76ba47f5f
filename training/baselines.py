"""What a fine-tuned encoder has to beat: predictions that anyone can get in a minute.

`BASELINES` is the whole list: a new one is a function and an entry there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from stance.errors import ConfigError, DataError
from training import lexicon
from training.corpus import Example
from training.scheme import MISSING, Scheme, Task

_BATCH = 64


class InapplicableError(ConfigError):
    """A baseline cannot be had for this scheme; the message says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a baseline is asked: to learn from `train`, if it learns, and to label `texts`."""

    scheme: Scheme
    train: Sequence[Example]
    texts: Sequence[str]


Answer = Mapping[str, np.ndarray]  # name of the task -> label codes, shape (texts,)


def majority_class(problem: Problem) -> Answer:
    """The commonest label of the training rows, for every text."""
    answer = {}
    for task in problem.scheme.tasks:
        _, gold = _labelled(task, problem.train)
        commonest, _ = Counter(gold.tolist()).most_common(1)[0]
        answer[task.name] = np.full(len(problem.texts), commonest)
    return answer


def cue_lexicon(problem: Problem) -> Answer:
    """Ordered rules over cue words; nothing is learnt.

    Raises:
        InapplicableError: the heads or their labels are not the ones that it was written for.
    """
    known = {head: set(labels) for head, labels in lexicon.LABELS.items()}
    if {name: set(head.labels) for name, head in problem.scheme.heads.items()} != known:
        raise InapplicableError("it was written for the heads of stance alone")
    told = [lexicon.read(text) for text in problem.texts]
    return {
        task.name: np.array([task.code(labels[task.head.name]) for labels in told])
        for task in problem.scheme.tasks
    }


def tfidf_logistic(problem: Problem) -> Answer:
    """Logistic regression on TF-IDF of word 1-2-grams and character 2-5-grams."""
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 5),
            sublinear_tf=True,
            min_df=3,
            max_features=200_000,
        ),
    )
    try:
        train = features.fit_transform([example.text for example in problem.train])
    except ValueError:  # nothing is left after `min_df`
        raise InapplicableError("the training rows have too few words in common") from None
    classifier = LogisticRegression(C=8.0, class_weight="balanced", max_iter=300)
    return _fit_each(problem, classifier, train, features.transform(problem.texts))


def frozen_embeddings(problem: Problem) -> Answer:
    """Logistic regression on the base encoder's sentence vectors; the encoder is not trained.

    Raises:
        InapplicableError: the scheme names no base, or it cannot be loaded.
    """
    from training.base import load_base

    if problem.scheme.base is None:
        raise InapplicableError("the scheme names no base encoder")
    try:
        base, _ = load_base(problem.scheme.base)
    except ConfigError as error:
        raise InapplicableError(str(error)) from None
    texts = [example.text for example in problem.train]
    vectors = _embed(base, problem.scheme.base.max_length, [*texts, *problem.texts])
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
    )
    return _fit_each(problem, classifier, vectors[: len(texts)], vectors[len(texts) :])


BASELINES: Mapping[str, Callable[[Problem], Answer]] = {
    "majority class": majority_class,
    "cue lexicon": cue_lexicon,
    "TF-IDF + logistic": tfidf_logistic,
    "frozen base + logistic": frozen_embeddings,
}


def _fit_each(problem: Problem, classifier: Any, train: Any, texts: Any) -> Answer:
    """Fit per task on the training rows that have its label."""
    answer = {}
    for task in problem.scheme.tasks:
        rows, gold = _labelled(task, problem.train)
        if len(set(gold)) == 1:  # which no regression can be fitted to
            answer[task.name] = np.full(len(problem.texts), gold[0])
        else:
            answer[task.name] = classifier.fit(train[rows], gold).predict(texts)
    return answer


def _labelled(task: Task, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have the task's label, and their codes."""
    gold = task.gold(examples)
    rows = np.flatnonzero(gold != MISSING)
    if not len(rows):
        raise DataError(f"no training row of the baselines has a label of {task.head.name}")
    return rows, gold[rows]


def _embed(base: Any, max_length: int, texts: Sequence[str]) -> np.ndarray:
    """Masked mean of the last layer's states, shape (texts, width), in batches of one length."""
    import torch

    encoder = base.encoder.eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors = np.empty((len(texts), encoder.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = base.tokenizer(
                [texts[row] for row in rows],
                truncation=True,
                max_length=max_length,
                padding=True,
                return_tensors="pt",
            )
            states = encoder(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            vectors[rows] = ((states * mask).sum(1) / mask.sum(1)).numpy()
    return vectors
