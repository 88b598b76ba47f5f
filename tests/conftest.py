"""Fixtures: the command line, and a tiny BERT of IndoBERT's architecture made on the spot."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from stance.cli import main

ROOT = Path(__file__).resolve().parents[1]

# Enough for the plumbing; no score in the tests depends on their quality.
ROWS = [
    ("Kementerian Kesehatan membenarkan dua pasien dirawat.", "event", "confirmed", "named"),
    ("Pelatih itu membantah akan mundur musim depan.", "prediction", "denied", "named"),
    ("Korban diduga terpeleset di tepi sungai.", "event", "alleged", "unnamed"),
    ('"Kami siap bertanding," kata Rendra.', "event", "stated", "named"),
    ("Inflasi Oktober tercatat 2,8 persen.", "quantity", "confirmed", "newsroom"),
    ("Undang-undang itu melarang ekspor bijih mentah.", "rule", "confirmed", "newsroom"),
    ("Banjir dipicu oleh jebolnya tanggul di hulu.", "causal", "confirmed", "newsroom"),
    ("Menurut warga, kebijakan itu keliru.", "opinion", "stated", "unnamed"),
    ("Sidang akan digelar Senin.", "prediction", "confirmed", "newsroom"),
    ("Baca juga: Daftar Harga Emas Hari Ini", "none", "none", "none"),
]
HEADS = {
    "claim_type": {
        "labels": ["rule", "prediction", "causal", "quantity", "opinion", "event", "none"]
    },
    "certainty": {
        "labels": ["confirmed", "stated", "alleged", "denied", "none"],
        "merge": {"stated": "alleged"},
    },
    "attribution": {"labels": ["newsroom", "named", "unnamed", "none"]},
}


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def stance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run the command line in this process, as the installed script would."""

    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["stance", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = 0
        capsys.readouterr()
        try:
            main()
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with a WordPiece tokenizer, as IndoBERT is one, of 2 layers and random weights."""
    pytest.importorskip("torch", reason="training needs the `train` extra")
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    tokenizer.train_from_iterator([row[0] for row in ROWS], trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = tmp_path_factory.mktemp("tiny") / "base"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_rows(path: Path, repeat: int = 1) -> Path:
    """The rows above as JSONL."""
    names = ("text", "claim_type", "certainty", "attribution")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in ROWS * repeat]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tiny_config(tiny_base: Path, tmp_path: Path) -> Path:
    """A configuration that trains the tiny base on the rows above in a second or two."""
    return write_config(tmp_path, tiny_base)


def write_config(folder: Path, base: Path) -> Path:
    data = write_rows(folder / "rows.jsonl", repeat=3)
    content = {
        "base": {"name": str(base), "max_length": 48},
        "heads": HEADS,
        "data": {"train": [str(data)], "dev": [str(data)]},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "dropout": 0.0},
        "export": {"max_macro_f1_loss": 1.0},
        "output": str(folder / "run"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that went through the whole pipeline."""
    from training.config import load_config
    from training.run import train

    return train(load_config(write_config(tmp_path_factory.mktemp("trained"), tiny_base))).path
