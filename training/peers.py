"""What others would use to label sentences on a CPU, for `stance bench --peers`.

Weights may be random: speed does not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stance.bundle import Bundle
from stance.errors import ConfigError
from training.bench import Label, Load
from training.scheme import Scheme, bundle_scheme

_TRAINING_ROWS = 2_000  # enough for a vocabulary of realistic size
_INDOBERT_VOCABULARY = 50_000  # all else is BERT base


def peers(bundle: Path) -> dict[str, Load]:
    """The contestants by name, each a function from a number of threads to what labels texts.

    Args:
        bundle: TF-IDF takes its heads; the pipelines its encoder's tokenizer and shape.

    Raises:
        ConfigError: the bundle does not say what encoder it was made from.
    """
    loaded = Bundle.load(bundle)
    scheme = bundle_scheme(loaded)
    if scheme.base is None:
        raise ConfigError(f"{bundle} does not name its base encoder, which the peers need")
    recorded = loaded.provenance["base"]
    base, layers = recorded["used"], recorded.get("layers")
    return {
        "pipeline, same encoder": partial(_pipeline, base, layers, False, 1),
        "the same, batch 16": partial(_pipeline, base, layers, False, 16),
        "pipeline, IndoBERT size": partial(_pipeline, base, None, True, 1),
        "TF-IDF + logistic": partial(_tfidf, scheme),
    }


def _pipeline(base: str, layers: int | None, large: bool, batch: int, threads: int) -> Label:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        config = transformers.AutoConfig.from_pretrained(base)
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the peers need the bundle's base encoder: {reason}") from None
    if layers is not None:  # a distilled bundle has fewer than its base
        config.num_hidden_layers = layers
    if large:
        config = transformers.BertConfig(vocab_size=_INDOBERT_VOCABULARY)
    family = transformers.AutoModelForSequenceClassification
    model = family.from_config(config)  # type: ignore[no-untyped-call]
    label = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)

    def run(texts: Sequence[str]) -> Any:
        return label(list(texts), batch_size=batch, truncation=True, max_length=192)

    return run


def _tfidf(scheme: Scheme, threads: int) -> Label:
    from training.baselines import tfidf_logistic  # here, so that its imports are on the clock

    return tfidf_logistic(scheme, scheme.read(["data/train"]).examples[:_TRAINING_ROWS])
