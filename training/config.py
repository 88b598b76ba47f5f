"""The training configuration: typed, strict, one YAML file plus overrides.

Every key has a type, a default and a description; `stance train --help` prints them. An unknown
key is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stance.bundle import Head
from stance.errors import ConfigError


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseConfig(Section):
    """The pretrained encoder to start from."""

    name: str = Field(description="model id on the Hugging Face hub, or a local folder")
    fallback: str | None = Field(
        None, description="local folder to go on from when `name` cannot be reached"
    )
    max_length: int = Field(192, ge=8, le=512, description="longest sentence read, in tokens")
    pooling: Literal["mean", "cls"] = Field(
        "mean", description="sentence vector: masked mean of the tokens, or the first token"
    )


class HeadConfig(Section):
    """One classification task over the shared encoder."""

    labels: tuple[str, ...] = Field(description="label names, in the order of the output")
    merge: dict[str, str] = Field(
        default_factory=dict, description="fine label -> label that is reported in its place"
    )
    weight: float = Field(1.0, gt=0, description="weight of the task in the loss")
    column: str | None = Field(None, description="column of the data; the head's name if omitted")

    @model_validator(mode="after")
    def _consistent(self) -> HeadConfig:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError("a head needs at least two labels, all different")
        unknown = {*self.merge, *self.merge.values()} - set(self.labels)
        if unknown:
            raise ValueError(f"merge names labels that the head lacks: {sorted(unknown)}")
        return self

    def head(self, name: str) -> Head:
        """The head as bundles and scores know it, not yet calibrated."""
        return Head(name, self.labels, self.merge)


class SpanConfig(Section):
    """Words to find in the sentence, verbatim, or to find absent."""

    weight: float = Field(0.5, gt=0, description="weight of the span in the loss")
    column: str | None = Field(None, description="column of the data; the span's name if omitted")


class DataConfig(Section):
    """Where the labelled sentences are. Folders are read whole (JSONL, CSV, TSV, Parquet)."""

    train: tuple[str, ...] = Field(description="files or folders to train on")
    dev: tuple[str, ...] = Field(description="files or folders to choose and calibrate on")
    text_column: str = Field("text", description="column that holds the sentence")
    limit: int | None = Field(None, ge=1, description="use only the first rows of each part")


class TrainConfig(Section):
    """Optimisation."""

    epochs: int = Field(4, ge=1, description="passes over the training data")
    batch_size: int = Field(32, ge=1, description="sentences per step on one device")
    gradient_accumulation: int = Field(1, ge=1, description="steps per update")
    learning_rate: float = Field(5e-5, gt=0, description="peak rate of the encoder's top layer")
    head_learning_rate: float = Field(1e-3, gt=0, description="peak rate of the heads")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the rate per layer downwards; 1 is off"
    )
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay (AdamW)")
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the updates that warms up")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="decay after warm-up")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the heads")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="mass moved off the gold label")
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "sqrt", description="loss weight per class: 1, 1/sqrt(share) or 1/share"
    )
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")
    patience: int | None = Field(
        None, ge=1, description="epochs without a better dev score before stopping; none is off"
    )
    seed: int = Field(13, ge=0, description="of weights, order and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto is bf16 where the processor computes in it"
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="minutes between checkpoints (one is also kept per epoch)"
    )


class ExportConfig(Section):
    """The ONNX graph and the gate that it has to pass."""

    quantization: Literal["mixed", "dynamic", "none"] = Field(
        "mixed",
        description="int8 for CPUs: mixed keeps a scale per row in the feed-forward layers, "
        "dynamic is faster and coarser",
    )
    max_macro_f1_loss: float = Field(
        0.01, ge=0, description="most macro-F1 that int8 may lose on dev per head, else fp32"
    )
    target_precision: float = Field(
        0.95,
        gt=0,
        le=1,
        description="precision on dev that a label's threshold for abstaining is fitted to",
    )


class Config(Section):
    """A whole run."""

    base: BaseConfig
    heads: dict[str, HeadConfig] = Field(min_length=1)
    spans: dict[str, SpanConfig] = Field(default_factory=dict)
    data: DataConfig
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    output: str = Field("runs/default", description="run folder: checkpoints, log and `bundle/`")


_NAMED: dict[str, type[BaseModel]] = {"heads": HeadConfig, "spans": SpanConfig}


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply `section.key=value` overrides (values in YAML).

    Raises:
        ConfigError: the file is missing or no YAML mapping, a key is unknown, a value is of the
            wrong type or out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of sections")
    for override in overrides:
        _apply(content, override)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from None


def _apply(content: dict[str, Any], override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator:
        raise ConfigError(f"--set {override}: write section.key=value")
    *sections, key = name.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override}: {section} is not a section")
    try:
        content[key] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *_, key = problem["loc"]
        names = {name.rsplit(".", 1)[-1] for name, *_ in describe()}
        near = difflib.get_close_matches(str(key), names, n=1)
        return f"unknown key {location!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if problem["type"] == "missing":
        return f"key {location!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{location}: {message} (got {problem['input']!r})"


def describe(
    section: type[BaseModel] = Config, prefix: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    """Every key as (dotted name, type, default, description), in order of definition."""
    for name, info in section.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from describe(kind, f"{prefix}{name}.")
        elif name in _NAMED:
            yield from describe(_NAMED[name], f"{prefix}{name}.NAME.")
        else:
            default = (
                "required"
                if info.is_required()
                else repr(info.get_default(call_default_factory=True))
            )
            spelled = str(kind) if not isinstance(kind, type) else kind.__name__
            spelled = spelled.replace("typing.", "").replace("Literal", "one of ")
            yield f"{prefix}{name}", spelled, default, info.description or ""
