"""What labelled sentences are read and scored by: heads, spans, and the columns they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stance.bundle import Bundle, Head
from stance.results import HeadPrediction
from training.config import BaseConfig, Config, HeadConfig, SpanConfig, TableConfig, load_config
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
    """The heads and spans of a bundle or a configuration, and the `table` that spells them.

    `base` is the encoder that the scheme's models start from, for baselines that use it frozen.
    """

    heads: Mapping[str, HeadConfig]
    spans: Mapping[str, SpanConfig]
    table: TableConfig
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
        return read_dataset(paths, self.heads, self.spans, self.table)


def bundle_scheme(bundle: Bundle) -> Scheme:
    """The scheme of a bundle; its table is spelled as the data that it was trained on."""
    config = bundle.provenance.get("config") or {}

    def recorded(part: str, name: str, *keys: str) -> dict[str, Any]:
        section = (config.get(part) or {}).get(name) or {}
        return {key: section[key] for key in keys if key in section}

    recorded_base = bundle.provenance.get("base") or {}
    from_a_run = recorded_base.get("weights") is not None
    base = recorded_base.get("requested" if from_a_run else "used")
    pooling = (config.get("base") or {}).get("pooling", "mean")
    return Scheme(
        heads={
            head.name: HeadConfig(
                labels=head.labels,
                merge=dict(head.merge),
                **recorded("heads", head.name, "column", "values"),
            )
            for head in bundle.heads
        },
        spans={name: SpanConfig(**recorded("spans", name, "column")) for name in bundle.spans},
        table=_table(config.get("data") or {}),
        base=base and BaseConfig(name=base, max_length=bundle.max_length, pooling=pooling),
    )


def load_scheme(path: Path) -> Scheme:
    """The scheme of a bundle folder or of a configuration file.

    Raises:
        BundleError: the folder is no sound bundle.
        ConfigError: the file is no configuration.
    """
    if path.is_dir():
        return bundle_scheme(Bundle.load(path))
    return config_scheme(load_config(path))


def config_scheme(config: Config) -> Scheme:
    """The scheme of a configuration."""
    return Scheme(config.heads, config.spans, _table(config.data.model_dump()), config.base)


def _table(data: Mapping[str, Any]) -> TableConfig:
    """How training read its tables, but all of their rows."""
    keys = set(TableConfig.model_fields) - {"limit"}
    return TableConfig(**{key: value for key, value in data.items() if key in keys})
