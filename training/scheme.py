"""What labelled sentences are read and scored by: heads, spans, and the columns they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stance.bundle import Bundle, Head
from stance.results import HeadPrediction
from training.config import BaseConfig, HeadConfig, SpanConfig, load_config
from training.corpus import Dataset, Example, read_dataset

MISSING = -1  # the code of a row that says nothing of a task


@dataclass(frozen=True, slots=True)
class Task:
    """What one score is about: a head as it reports, or `fine`, before its scheme's merges."""

    head: Head
    fine: bool = False

    @property
    def name(self) -> str:
        """The head's name, marked where it is fine."""
        return f"{self.head.name} (fine)" if self.fine else self.head.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are told apart; a label's code is its place here."""
        return self.head.labels if self.fine else self.head.reported_labels

    def gold(self, examples: Sequence[Example]) -> np.ndarray:
        """The code of each example's label, shape (examples,), `MISSING` where it has none."""
        return np.array(
            [
                self.code(example.labels[self.head.name])
                if self.head.name in example.labels
                else MISSING
                for example in examples
            ],
            dtype=np.int64,
        )

    def told(self, answer: HeadPrediction) -> str:
        """The label that a prediction gives."""
        return answer.fine_label if self.fine else answer.model_label

    def code(self, label: str) -> int:
        """The place of a label, merged where the task is not fine, among `labels`."""
        return self.labels.index(label if self.fine else self.head.reported(label))


@dataclass(frozen=True, slots=True)
class Scheme:
    """The heads and spans of a bundle or a configuration, as data files spell them.

    `base` is the encoder that the scheme's models start from, for baselines that use it frozen.
    """

    heads: Mapping[str, HeadConfig]
    spans: Mapping[str, SpanConfig]
    text_column: str
    base: BaseConfig | None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Every head, followed by its fine form where its scheme merges labels."""
        heads = [config.head(name) for name, config in self.heads.items()]
        return tuple(
            Task(head, fine)
            for head in heads
            for fine in ((False, True) if head.merge else (False,))
        )

    def read(self, paths: Sequence[str]) -> Dataset:
        """Read labelled files or folders.

        Raises:
            DataError: as `training.corpus.read_dataset`.
        """
        return read_dataset(paths, self.heads, self.text_column, spans=self.spans)


def bundle_scheme(bundle: Bundle) -> Scheme:
    """The scheme of a bundle; its columns are those of the data that it was trained on."""
    config = bundle.provenance.get("config") or {}

    def column(part: str, name: str) -> str | None:
        return ((config.get(part) or {}).get(name) or {}).get("column")

    used = (bundle.provenance.get("base") or {}).get("used")
    pooling = (config.get("base") or {}).get("pooling", "mean")
    return Scheme(
        heads={
            head.name: HeadConfig(
                labels=head.labels, merge=dict(head.merge), column=column("heads", head.name)
            )
            for head in bundle.heads
        },
        spans={name: SpanConfig(column=column("spans", name)) for name in bundle.spans},
        text_column=(config.get("data") or {}).get("text_column", "text"),
        base=used and BaseConfig(name=used, max_length=bundle.max_length, pooling=pooling),
    )


def load_scheme(path: Path) -> Scheme:
    """The scheme of a bundle folder or of a configuration file.

    Raises:
        BundleError: the folder is no sound bundle.
        ConfigError: the file is no configuration.
    """
    if path.is_dir():
        return bundle_scheme(Bundle.load(path))
    config = load_config(path)
    return Scheme(config.heads, config.spans, config.data.text_column, config.base)
