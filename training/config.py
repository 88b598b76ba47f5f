"""The configuration of fine-tuning.

Every key has a type, a default and a description; `stance train --help` prints them. An unknown
key is an error that names the nearest one, and options that contradict each other are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stance.bundle import Head
from training.schema import Section, load


def spelled(value: Any) -> Any:
    """A label as text: YAML and tables may hold it as a number or a truth value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # tables turn whole numbers into floats where a row lacks one
    return str(value) if isinstance(value, int | float) else value


class EncoderConfig(Section):
    """The pretrained encoder to start from."""

    name: str = Field(
        description="model id on the Hugging Face hub, a local folder, or the folder of a finished "
        "run, whose encoder then goes on learning"
    )
    fallback: str | None = Field(
        None, description="local folder to go on from when `name` cannot be reached"
    )
    max_length: int = Field(192, ge=8, le=512, description="longest sentence read, in tokens")

    @model_validator(mode="after")
    def _consistent(self) -> EncoderConfig:
        if self.fallback == self.name:
            raise ValueError(f"fallback and name are both {self.name!r}; leave the fallback out")
        return self


class BaseConfig(EncoderConfig):
    """The encoder, as a classifier uses it."""

    pooling: Literal["mean", "cls", "attention"] = Field(
        "mean",
        description="what a head sees: the tokens' mean, the first one, or a mean it weighs itself",
    )


class HeadConfig(Section):
    """One classification task over the shared encoder."""

    labels: tuple[str, ...] = Field(description="label names, in the order of the output")
    merge: dict[str, str] = Field(
        default_factory=dict, description="fine label -> label that is reported in its place"
    )
    weight: float = Field(1.0, gt=0, description="weight of the task in the loss")
    column: str | None = Field(None, description="column of the data; the head's name if omitted")
    values: dict[str, str] = Field(
        default_factory=dict, description="value in the data -> label, where they differ"
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        return [spelled(label) for label in value] if isinstance(value, list | tuple) else value

    @field_validator("merge", "values", mode="before")
    @classmethod
    def _mapping_of_text(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {spelled(key): spelled(label) for key, label in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> HeadConfig:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError("a head needs at least two labels, all different")
        unknown = {*self.merge, *self.merge.values()} - set(self.labels)
        if unknown:
            raise ValueError(f"merge names labels that the head lacks: {sorted(unknown)}")
        if chained := sorted(set(self.merge) & set(self.merge.values())):
            raise ValueError(f"merge sends labels to {chained}, which it merges away themselves")
        if len(set(self.labels) - set(self.merge)) < 2:
            raise ValueError("merge leaves fewer than two labels to tell apart")
        if strange := sorted(set(self.values.values()) - set(self.labels)):
            raise ValueError(f"values names labels that the head lacks: {strange}")
        return self

    def head(self, name: str) -> Head:
        """The head as bundles and scores know it, not yet calibrated."""
        return Head(name, self.labels, self.merge)


class SpanConfig(Section):
    """Words to find in the sentence, verbatim, or to find absent."""

    weight: float = Field(0.2, gt=0, description="weight of the span in the loss")
    column: str | None = Field(None, description="column of the data; the span's name if omitted")


class TableConfig(Section):
    """How to read labelled rows."""

    text_column: str = Field("text", description="column that holds the sentence")
    text_pair_column: str | None = Field(
        None,
        description="column of a second text: both are read as one, `first ||| second`, and so "
        "must the texts be that the bundle is to predict",
    )
    columns: tuple[str, ...] | None = Field(
        None, description="names of the columns of CSV and TSV files whose first line is no header"
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="between the columns of a CSV file; found in its first line if omitted",
    )
    limit: int | None = Field(None, ge=1, description="use only the first rows of each part")

    @model_validator(mode="after")
    def _consistent(self) -> TableConfig:
        for key in ("text_column", "text_pair_column"):
            name = getattr(self, key)
            if self.columns and name and name not in self.columns:
                raise ValueError(f"columns {list(self.columns)} lack the {key} {name!r}")
        if self.text_pair_column == self.text_column:
            raise ValueError(f"text_pair_column and text_column are both {self.text_column!r}")
        return self


class DataConfig(TableConfig):
    """Where the labelled sentences are."""

    train: tuple[str, ...] = Field(
        description="files (JSONL, JSON, CSV, TSV, Parquet) to train on, or folders of them"
    )
    dev: tuple[str, ...] = Field(description="files or folders to choose and calibrate on")


class OptimizerConfig(Section):
    """What fine-tuning and pretraining share."""

    batch_size: int = Field(32, ge=1, description="texts per step on one device")
    gradient_accumulation: int = Field(1, ge=1, description="steps per update")
    learning_rate: float = Field(5e-5, gt=0, description="peak rate of the encoder's top layer")
    head_learning_rate: float = Field(1e-3, gt=0, description="peak rate of what starts from zero")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the rate per layer downwards; 1 is off"
    )
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay (AdamW)")
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the updates that warms up")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="decay after warm-up")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")
    seed: int = Field(13, ge=0, lt=2**31, description="of weights, order and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto is bf16 where the processor gains by it"
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="minutes between checkpoints (one is also kept per epoch)"
    )


class TrainConfig(OptimizerConfig):
    """Optimisation."""

    epochs: int = Field(4, ge=1, description="passes over the training data")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the heads")
    loss: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="focal turns to the rows that are still wrong"
    )
    focal_gamma: float = Field(2.0, gt=0, description="how far focal loss turns away from the easy")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="mass moved off the gold label")
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "sqrt", description="loss weight per class: 1, 1/sqrt(share) or 1/share"
    )
    rdrop: float = Field(
        0.0, ge=0, description="weight of R-Drop: two dropouts must agree; doubles the time; 0 off"
    )
    adversarial: float = Field(
        0.0,
        ge=0,
        description="length of the step on each sentence's word embeddings that raises its loss "
        "most, trained on as well (FGM); doubles the time; 0 is off",
    )
    metric: str = Field(
        "mean", description="dev score that chooses the best epoch: mean, or one head's or span's"
    )
    patience: int | None = Field(
        None, ge=1, description="epochs without a better dev score before stopping; null is off"
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.patience is not None and self.patience >= self.epochs:
            raise ValueError(
                f"patience {self.patience} can never stop a run of {self.epochs} epochs; "
                "make it smaller or leave it out"
            )
        if self.loss != "focal" and "focal_gamma" in self.model_fields_set:
            raise ValueError("focal_gamma is for loss: focal; set that or leave it out")
        return self


class DistillConfig(Section):
    """Learning from another bundle's probabilities beside the labels, to make it smaller."""

    teacher: str = Field(description="folder of the bundle to imitate; it needs the same heads")
    layers: int | None = Field(
        None, ge=1, description="keep so many of the base's layers, evenly spaced; null keeps all"
    )
    weight: float = Field(
        0.7, gt=0, le=1, description="share of the teacher in the heads' loss; labels have the rest"
    )
    temperature: float = Field(
        2.0, gt=0, description="softens both sides: what the teacher holds possible weighs more"
    )


class ExportConfig(Section):
    """The ONNX graph and the gate that it has to pass."""

    quantization: Literal["int8", "none"] = Field(
        "int8", description="int8 is for CPUs: a quarter of the size, nearly twice as fast"
    )
    max_macro_f1_loss: float = Field(
        0.01, ge=0, description="most macro-F1 that int8 may lose on dev per head, else fp32"
    )
    target_precision: float = Field(
        0.95,
        gt=0,
        le=1,
        description="precision on dev that a label's threshold for abstaining is fitted to; where "
        "a label cannot reach it, to the highest that it reaches",
    )
    baselines: tuple[str, ...] = Field(
        ("majority", "cue", "tf-idf"),
        description="beginnings of the names of the baselines whose scores the card shows too; "
        "`frozen` and `static` read the training rows or all words with the base, for minutes",
    )


class Range(Section):
    """Numbers to try: whole ones if both ends are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range cannot start at {self.low}")
        return self


class TuneConfig(Section):
    """The search of `stance tune`; `stance train` passes over it."""

    space: dict[str, Range | tuple[Any, ...]] = Field(
        min_length=1, description="key -> {low, high, log} or a list of values to try"
    )
    trials: int = Field(20, ge=1, description="runs, those stopped early included")
    timeout_minutes: float | None = Field(
        None, gt=0, description="no new trial after so many minutes of work; null is off"
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="tpe learns from the trials so far (Bergstra et al. 2011)"
    )
    pruner: Literal["median", "halving", "none"] = Field(
        "median", description="which trials stop early: worse than the median, or the worse half"
    )
    seed: int = Field(13, ge=0, lt=2**31, description="of the search")


# What a prediction or its graph calls something else.
_OF_A_SENTENCE = {"file", "row", "start", "end", "text", "truncated"}
_OF_ITS_ANSWERS = {"spans", "fine", "abstained", "confidence", "probabilities"}
RESERVED = _OF_A_SENTENCE | _OF_ITS_ANSWERS | {"input_ids", "attention_mask"}


class Config(Section):
    """A whole run."""

    base: BaseConfig
    heads: dict[str, HeadConfig] = Field(min_length=1)
    spans: dict[str, SpanConfig] = Field(default_factory=dict)
    data: DataConfig
    train: TrainConfig = TrainConfig()
    distill: DistillConfig | None = Field(None, description="imitate a teacher; null is off")
    export: ExportConfig = ExportConfig()
    tune: TuneConfig | None = Field(None, description="the search of `stance tune`")
    output: str = Field("runs/default", description="run folder: checkpoints, log and `bundle/`")

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if Path(self.base.name) == Path(self.output):
            raise ValueError(
                f"base.name and output are both {self.output!r}: the run would delete its base; "
                "give it another output"
            )
        if both := sorted(set(self.heads) & set(self.spans)):
            raise ValueError(f"{both[0]!r} is both a head and a span; rename one")
        if taken := sorted({*self.heads, *self.spans} & RESERVED):
            raise ValueError(
                f"no head or span can be called {taken[0]!r}, a column of every prediction; "
                "rename it, and say in its `column` where the data has it"
            )
        known = ["mean", *self.heads, *self.spans]
        if self.train.metric not in known:
            raise ValueError(f"train.metric {self.train.metric!r} is none of {', '.join(known)}")
        for name, head in self.heads.items():
            column = head.column or name
            if self.data.columns and column not in self.data.columns:
                raise ValueError(
                    f"data.columns {list(self.data.columns)} lack the head's column {column!r}"
                )
        return self


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read the configuration of a fine-tuning; `training.schema.load` says what it raises."""
    return load(path, Config, overrides)
