"""What a fine-tuned encoder has to beat: predictions that anyone can get in a minute.

`BASELINES` is the whole list: a new one is a function and an entry there. It learns from labelled
rows and gives back what labels texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from stance.errors import ConfigError, DataError
from training import lexicon
from training.corpus import Example
from training.scheme import MISSING, Scheme, Task

_BATCH = 64
_STATIC_WIDTH = 256
_COMMON = 1e-3  # the share of the text from which on a token weighs less than half


class InapplicableError(ConfigError):
    """A baseline cannot be had for this scheme; the message says why."""


Answer = Mapping[str, np.ndarray]  # name of the task -> label codes, shape (texts,)
Labeller = Callable[[Sequence[str]], Answer]  # it pickles


def majority_class(scheme: Scheme, train: Sequence[Example]) -> Labeller:
    """The commonest label of the training rows, for every text."""
    commonest = {}
    for task in scheme.tasks:
        _, gold = _labelled(task, train)
        [(commonest[task.name], _)] = Counter(gold.tolist()).most_common(1)
    return partial(_always, commonest)


def _always(codes: Mapping[str, int], texts: Sequence[str]) -> Answer:
    return {name: np.full(len(texts), code) for name, code in codes.items()}


def cue_lexicon(scheme: Scheme, train: Sequence[Example]) -> Labeller:
    """Ordered rules over cue words; nothing is learnt.

    Raises:
        InapplicableError: the heads or their labels are not the ones that it was written for.
    """
    known = {head: set(labels) for head, labels in lexicon.LABELS.items()}
    if {name: set(head.labels) for name, head in scheme.heads.items()} != known:
        raise InapplicableError("it was written for the heads of stance alone")
    return partial(_looked_up, scheme.tasks)


def _looked_up(tasks: Sequence[Task], texts: Sequence[str]) -> Answer:
    told = [lexicon.read(text) for text in texts]
    return {
        task.name: np.array([task.code(labels[task.head.name]) for labels in told])
        for task in tasks
    }


def tfidf_logistic(scheme: Scheme, train: Sequence[Example]) -> Labeller:
    """Logistic regression on TF-IDF of word 1-2-grams and character 2-5-grams.

    Raises:
        InapplicableError: the training rows are too few or too different.
    """
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
        features.fit([example.text for example in train])
    except ValueError:  # nothing is left after `min_df`
        raise InapplicableError("the training rows have too few words in common") from None
    classifier = LogisticRegression(C=8.0, class_weight="balanced", max_iter=300)
    return _fit_each(scheme, train, features.transform, classifier)


def static_embeddings(scheme: Scheme, train: Sequence[Example]) -> Labeller:
    """Logistic regression on the mean of fixed word vectors, distilled from the base encoder.

    As model2vec does it (Tulkens and van Dongen 2024): every token of the vocabulary is read alone
    by the encoder, the vectors are cut to 256 dimensions by PCA and weighed down where the token
    is frequent (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings").

    Raises:
        InapplicableError: the scheme names no base, it cannot be loaded, or model2vec is missing.
    """
    try:
        from model2vec import StaticModel
    except ImportError:
        raise InapplicableError("it needs model2vec: pip install model2vec") from None
    encoder = _frozen(scheme)
    tokenizer = encoder.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    size = tokenizer.get_vocab_size()
    around = tokenizer.encode("").ids  # [CLS] and [SEP], or what the encoder has in their place
    alone = [[*around[:1], token, *around[1:]] for token in range(size)]
    width = min(_STATIC_WIDTH, encoder.width, size)
    vectors = PCA(width, random_state=0).fit_transform(encoder.means(alone))
    rows = tokenizer.encode_batch([one.text for one in train], add_special_tokens=False)
    ids = [one for row in rows for one in row.ids]
    share = np.bincount(ids, minlength=size) / len(ids)
    weights = _COMMON / (_COMMON + share)
    model = StaticModel((vectors * weights[:, None]).astype(np.float32), tokenizer)
    return _fit_each(scheme, train, model.encode, _on_vectors())


def frozen_embeddings(scheme: Scheme, train: Sequence[Example]) -> Labeller:
    """Logistic regression on the base encoder's sentence vectors; the encoder is not trained.

    Raises:
        InapplicableError: the scheme names no base, or it cannot be loaded.
    """
    return _fit_each(scheme, train, _frozen(scheme), _on_vectors())


BASELINES: Mapping[str, Callable[[Scheme, Sequence[Example]], Labeller]] = {
    "majority class": majority_class,
    "cue lexicon": cue_lexicon,
    "TF-IDF + logistic": tfidf_logistic,
    "static embeddings + logistic": static_embeddings,
    "frozen base + logistic": frozen_embeddings,
}


def _on_vectors() -> Any:
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
    )


def _fit_each(
    scheme: Scheme,
    train: Sequence[Example],
    vectorize: Callable[[Sequence[str]], Any],
    classifier: Any,
) -> Labeller:
    """Fit a classifier per task on the training rows that have its label."""
    vectors = vectorize([example.text for example in train])
    fitted: dict[str, Any] = {}
    for task in scheme.tasks:
        rows, gold = _labelled(task, train)
        only = len(set(gold)) == 1  # which no regression can be fitted to
        one = DummyClassifier() if only else clone(classifier)
        fitted[task.name] = one.fit(vectors[rows], gold)
    return partial(_classified, vectorize, fitted)


def _classified(
    vectorize: Callable[[Sequence[str]], Any], fitted: Mapping[str, Any], texts: Sequence[str]
) -> Answer:
    vectors = vectorize(texts)
    return {name: classifier.predict(vectors) for name, classifier in fitted.items()}


def _labelled(task: Task, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have the task's label, and their codes."""
    gold = task.gold(examples)
    rows = np.flatnonzero(gold != MISSING)
    if not len(rows):
        raise DataError(f"no training row of the baselines has a label of {task.head.name}")
    return rows, gold[rows]


@dataclass(frozen=True, slots=True)
class FrozenEncoder:
    """Masked mean of the last layer's states, shape (texts, width)."""

    encoder: Any
    tokenizer: Any
    max_length: int

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        width: int = self.encoder.config.hidden_size
        return width

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, cut at the longest that the encoder is to read."""
        cut = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)
        return self.means(cut["input_ids"])

    def means(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """The vectors of token ids, computed in batches of similar length."""
        import torch

        from training.batches import padded

        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        vectors = np.empty((len(ids), self.width), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                tokens, mask = padded(
                    [torch.tensor(ids[row]) for row in rows], self.tokenizer.pad_token_id or 0
                )
                states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
                shown = mask.unsqueeze(-1).to(states.dtype)
                vectors[rows] = ((states * shown).sum(1) / shown.sum(1)).numpy()
        return vectors


def _frozen(scheme: Scheme) -> FrozenEncoder:
    from training.base import load_base

    if scheme.base is None:
        raise InapplicableError("the scheme names no base encoder")
    try:
        base, _ = load_base(scheme.base)
    except ConfigError as error:
        raise InapplicableError(str(error)) from None
    base.encoder.eval()  # type: ignore[no-untyped-call]
    return FrozenEncoder(base.encoder, base.tokenizer, scheme.base.max_length)
