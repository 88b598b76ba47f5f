"""What a fine-tuned encoder has to beat: predictions that anyone can get in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from stance.bundle import Head
from training.corpus import Example


def majority_class(head: Head, train: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """The commonest reported label of the training rows, for every text."""
    _, labels = _columns(head, train)
    return [Counter(labels).most_common(1)[0][0]] * len(texts)


def tfidf_logistic(head: Head, train: Sequence[Example], texts: Sequence[str]) -> list[str]:
    """TF-IDF with a logistic regression, fitted on the reported labels."""
    return list(_tfidf_pipeline().fit(*_columns(head, train)).predict(texts))


BASELINES = {"majority class": majority_class, "TF-IDF + logistic": tfidf_logistic}


def _tfidf_pipeline() -> Pipeline:
    """Word 1-2-grams and character 2-5-grams, classes balanced."""
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
    return make_pipeline(features, LogisticRegression(C=8.0, class_weight="balanced", max_iter=300))


def _columns(head: Head, examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    rows = [example for example in examples if head.name in example.labels]
    return [row.text for row in rows], [head.reported(row.labels[head.name]) for row in rows]
