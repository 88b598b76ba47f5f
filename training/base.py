"""The encoder to start from: of the hub, its cache, a folder or a finished run, with a fallback."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import SAFE_WEIGHTS_NAME, WEIGHTS_NAME
from transformers.utils import logging as transformers_logging

from stance.bundle import Bundle, sha256
from stance.errors import BundleError, ConfigError
from training.config import EncoderConfig
from training.distill import keep_layers
from training.loop import BEST, SEEDS


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded encoder. `requested` is the configuration's name, `used` what was really loaded.

    `headless` says that the files hold no weights for the head that was asked for; `weights` is the
    sha256 of the fine-tuned weights where a finished run is the base, and then `used` is the base
    that the run started from. `revision` tells one state of `used` from another: the hub's commit,
    or the sha256 of a folder's weights.
    """

    encoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    requested: str
    used: str
    headless: bool
    weights: str | None = None
    revision: str | None = None

    @property
    def inputs(self) -> dict[str, str]:
        """What a run that starts here has to find again when it is resumed."""
        known = {"base": self.used, "base.revision": self.revision, "weights": self.weights}
        return {name: value for name, value in known.items() if value is not None}


def load_base(
    config: EncoderConfig, allow_fallback: bool = True, kind: Any = AutoModel
) -> tuple[Base, str | None]:
    """Load the configured encoder, or its fallback; the second value says why it fell back.

    Args:
        config: which encoder.
        allow_fallback: whether `config.fallback` may replace it.
        kind: transformers' class that loads it: `AutoModel`, or one with a pretraining head.

    Raises:
        ConfigError: neither can be loaded, or the fallback is not allowed.
    """
    try:
        return _load(config.name, config, kind), None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
    if config.fallback is None or not allow_fallback:
        hint = "" if config.fallback is None else " and --no-fallback forbids the fallback"
        raise ConfigError(f"base {config.name!r} cannot be loaded{hint}: {reason}")
    if not Path(config.fallback).is_dir():
        raise ConfigError(
            f"base {config.name!r} cannot be loaded ({reason}), and its fallback "
            f"{config.fallback!r} is no folder here; run from the project's root"
        )
    notice = f"base {config.name!r} cannot be reached; going on from {config.fallback!r}"
    return _load(config.fallback, config, kind), notice


def _load(name: str, config: EncoderConfig, kind: Any) -> Base:
    if (Path(name) / BEST).is_file():
        return _fine_tuned(Path(name), config, kind)
    if (Path(name) / SEEDS).is_file():
        raise ConfigError(f"base {name!r} has several runs: name one of its seed-N folders")
    if "/" in name and not Path(name).is_dir() and Path(name.split("/")[0]).is_dir():
        raise OSError(f"{name} is no folder")  # a mistyped path must not be asked of the hub
    # Its reports of unused heads and its own progress bars would bury the run's lines.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    settings = AutoConfig.from_pretrained(name)
    # Float32 whatever the file holds: half-precision master weights would lose small updates.
    encoder, report = kind.from_pretrained(
        name, config=settings, dtype="float32", output_loading_info=True
    )
    # The pooler is for next-sentence prediction; unused weights would only be carried along.
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    positions = getattr(settings, "max_position_embeddings", config.max_length)
    if config.max_length > positions:
        raise ConfigError(f"base.max_length {config.max_length} is over {name!r}'s {positions}")
    headless = any("pooler" not in key for key in report["missing_keys"])
    tokenizer = _tokenizer(name, settings.vocab_size)
    revision = _revision(name, settings)
    return Base(encoder, tokenizer, config.name, name, headless, revision=revision)


def _revision(name: str, settings: Any) -> str | None:
    files = (Path(name) / file for file in (SAFE_WEIGHTS_NAME, WEIGHTS_NAME))
    found = next((file for file in files if file.is_file()), None)
    return sha256(found) if found else getattr(settings, "_commit_hash", None)


def _fine_tuned(run: Path, config: EncoderConfig, kind: Any) -> Base:
    """A finished run's best weights, in the encoder that the run started from."""
    try:
        provenance = Bundle.load(run / "bundle").provenance
    except BundleError as error:
        raise ConfigError(f"base {str(run)!r} is no finished run: {error}") from None
    digest = sha256(run / BEST)
    if provenance.get("weights") != digest:
        raise ConfigError(
            f"base {str(run)!r} is no finished run: its weights are not its bundle's; "
            "train it to the end with --resume"
        )
    used, layers = provenance["base"]["used"], provenance["base"]["layers"]
    try:
        origin = _load(used, config, kind)
    except (OSError, ValueError) as error:
        why = f"{used!r}, which cannot be loaded: {str(error).strip().splitlines()[0]}"
        raise ConfigError(f"base {str(run)!r} started from {why}") from None
    encoder = cast(PreTrainedModel, origin.encoder.base_model)
    if layers != encoder.config.num_hidden_layers:
        keep_layers(encoder, layers)
    prefix = "encoder."
    weights = load_file(run / BEST)
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    try:
        encoder.load_state_dict(own)
    except RuntimeError:
        raise ConfigError(
            f"base {str(run)!r} started from {used!r}, where another encoder is now"
        ) from None
    return replace(origin, requested=config.name, weights=digest)


def _tokenizer(name: str, vocabulary: int) -> PreTrainedTokenizerFast:
    """The tokenizer that the files support, which need not be the architecture's own.

    IndoBERT lite is an ALBERT with a BERT's `vocab.txt`; for ALBERT, transformers looks for a
    SentencePiece file and, where there is none, makes a tokenizer of no words.
    """
    tokenizer = AutoTokenizer.from_pretrained(name)
    if len(tokenizer) < vocabulary / 2:
        with suppress(OSError, ValueError):
            tokenizer = BertTokenizer.from_pretrained(name)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ConfigError(f"base {name!r} has no fast tokenizer, which the bundle needs")
    if not vocabulary / 2 <= len(tokenizer) <= vocabulary:
        raise ConfigError(
            f"base {name!r} has a tokenizer of {len(tokenizer):,} tokens for {vocabulary:,} "
            "embeddings: its files do not belong together"
        )
    return tokenizer
