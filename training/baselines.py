"""What a fine-tuned encoder has to beat: rows that anyone can get in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from stance.bundle import Head
from training.corpus import Example
from training.metrics import HeadScore, score


def baseline_scores(
    heads: Sequence[Head], train: Sequence[Example], test: Sequence[Example]
) -> dict[str, dict[str, HeadScore]]:
    """Scores on `test` as name of the baseline -> head -> score, over the reported labels."""
    table: dict[str, dict[str, HeadScore]] = {"majority class": {}, "TF-IDF + logistic": {}}
    for head in heads:
        texts, labels = _column(head, train)
        test_texts, gold = _column(head, test)
        commonest = Counter(labels).most_common(1)[0][0]
        table["majority class"][head.name] = score(gold, [commonest] * len(gold))
        predicted = tfidf_logistic().fit(texts, labels).predict(test_texts)
        table["TF-IDF + logistic"][head.name] = score(gold, list(predicted))
    return table


def tfidf_logistic() -> Pipeline:
    """Word 1-2-grams and character 2-5-grams with a logistic regression, classes balanced."""
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


def _column(head: Head, examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    rows = [example for example in examples if head.name in example.labels]
    return [row.text for row in rows], [head.reported(row.labels[head.name]) for row in rows]
