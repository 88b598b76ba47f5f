"""Raw text to pretrain on: documents, packed into token sequences, words masked as wholes."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from stance.bundle import sha256
from stance.errors import ConfigError, DataError
from training.batches import LengthGroups, padded

SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
# Of the tokens chosen, so many become the mask and so many another token; the rest stay as they
# are (Devlin et al. 2019, section 3.1).
_MASKED, _REPLACED = 0.8, 0.1
_SHORTEST = 6  # tokens; less has no context to predict from
_CHUNK = 512  # paragraphs tokenised at once


@dataclass(frozen=True, slots=True)
class TextFile:
    """What a run records of a text it read. The text itself is never kept."""

    path: str
    documents: int
    sha256: str


def read_documents(paths: Sequence[str], column: str) -> tuple[list[str], list[TextFile]]:
    """Documents of plain text (blank lines part them) or of a column of JSON Lines, gzipped or not.

    Where plain text has no blank line, each line is a document.

    Raises:
        DataError: a file is missing, of another kind, not UTF-8, or holds no text.
    """
    documents: list[str] = []
    files = []
    for file in map(Path, paths):
        if not file.name.endswith(SUFFIXES):
            raise DataError(f"{file}: unknown format; use one of {', '.join(SUFFIXES)}")
        try:
            content = file.read_bytes()
            text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
        except FileNotFoundError:
            raise DataError(f"{file}: no such text file") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8 (byte {error.start})") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{file}: not a whole gzip file ({error})") from None
        found = list(_column(text, column, file) if ".jsonl" in file.name else _plain(text))
        if not found:
            raise DataError(f"{file}: holds no text")
        documents += found
        files.append(TextFile(str(file), len(found), sha256(file)))
    return documents, files


def _plain(text: str) -> Iterator[str]:
    blocks = [block for block in text.replace("\r\n", "\n").split("\n\n") if block.strip()]
    yield from blocks if len(blocks) > 1 else (line for line in text.splitlines() if line.strip())


def _column(text: str, column: str, file: Path) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)[column]
        except json.JSONDecodeError as error:
            raise DataError(f"{file}:{number}: not valid JSON ({error.msg})") from None
        except (KeyError, TypeError):
            raise DataError(f"{file}:{number}: no column {column!r}; set text.column") from None
        if isinstance(value, str) and value.strip():
            yield value


def hold_out(documents: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """The documents to train on and a random share, at least one, to measure on."""
    held = set(
        random.Random(seed).sample(range(len(documents)), max(1, int(len(documents) * share)))
    )
    if len(held) == len(documents):
        raise DataError("one document is too little text: some has to be held out to measure on")
    parts: tuple[list[str], list[str]] = ([], [])
    for number, document in enumerate(documents):
        parts[number in held].append(document)
    return parts


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """`input_ids` and `attention_mask` are (batch, length).

    `places` (masked, 2) are row and column of the tokens to predict, `targets` (masked,) their ids.
    """

    input_ids: Tensor
    attention_mask: Tensor
    places: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """The same batch on another device."""
        parts = (self.input_ids, self.attention_mask, self.places, self.targets)
        return MaskedBatch(*(part.to(device) for part in parts))


class MaskedText:
    """Token sequences of one document each, served as batches with whole words masked.

    Paragraphs of a document stand together in a sequence as far as `max_length` goes; a longer one
    is cut. `groups` says which sequences go together in a batch.

    A word is what the tokenizer's own pre-tokenizer keeps together, so masking takes all pieces of
    a word, be they written `▁jem batan` (SentencePiece) or `jem ##batan` (WordPiece). The collator
    of transformers does the same, but only ever writes the mask, never another token.
    """

    def __init__(
        self,
        documents: Iterable[str],
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        batch_size: int,
    ) -> None:
        special = {
            name: getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "pad", "mask")
        }
        if lacking := [name for name, token in special.items() if token is None]:
            raise ConfigError(
                f"the base's tokenizer has no {lacking[0]} token, which masking needs"
            )
        self._special = special
        self._ordinary = torch.tensor(
            sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
        )
        sequences = list(_pack(_paragraphs(documents, tokenizer), max_length - 2))
        if not sequences:
            raise DataError("the text is too short to pretrain on")
        ends = np.cumsum([len(ids) for ids, _ in sequences])
        self._starts = [0, *ends.tolist()]
        # Flat arrays: lists of lists of a corpus's tokens would take ten times the memory.
        self._ids = np.concatenate([ids for ids, _ in sequences])
        self._words = np.concatenate([words for _, words in sequences])
        self.groups = LengthGroups([len(ids) + 2 for ids, _ in sequences], batch_size)

    @property
    def tokens(self) -> int:
        """How many tokens of text there are."""
        return len(self._ids)

    def frequencies(self, vocabulary: int) -> Tensor:
        """How often each token stands in the text, (vocabulary,)."""
        return torch.from_numpy(np.bincount(self._ids, minlength=vocabulary)).float()

    def batch(self, rows: Sequence[int], share: float, generator: torch.Generator) -> MaskedBatch:
        """The rows' sequences, padded, with about `share` of their words masked."""
        cls, sep = self._special["cls"], self._special["sep"]
        spans = [slice(self._starts[row], self._starts[row + 1]) for row in rows]
        ids, mask = padded(
            [torch.tensor([cls, *self._ids[span].tolist(), sep]) for span in spans],
            self._special["pad"],
        )
        # Word 0 is special tokens and padding; the others count from 1.
        words, _ = padded(
            [torch.tensor([0, *np.cumsum(self._words[span]).tolist(), 0]) for span in spans], 0
        )
        draws = torch.rand(len(rows), int(words.max()) + 1, generator=generator)
        chosen = (draws.gather(1, words) < share) & (words > 0)
        if not chosen.any():
            chosen = words == 1  # a loss of no tokens would be no number
        places = chosen.nonzero()
        targets = ids[chosen]
        fate = torch.rand(len(targets), generator=generator)
        other = torch.randint(len(self._ordinary), targets.shape, generator=generator)
        told = torch.where(fate < _MASKED + _REPLACED, self._ordinary[other], targets)
        ids[chosen] = torch.where(fate < _MASKED, self._special["mask"], told)
        return MaskedBatch(ids, mask, places, targets)


Piece = tuple[np.ndarray, np.ndarray]  # token ids, and whether each begins a word


def _paragraphs(
    documents: Iterable[str], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[int, Piece]]:
    """Every paragraph's tokens, with the number of its document."""
    lines = [
        (number, line)
        for number, document in enumerate(documents)
        for line in document.splitlines()
        if line.strip()
    ]
    for start in range(0, len(lines), _CHUNK):
        chunk = lines[start : start + _CHUNK]
        encoded = tokenizer([line for _, line in chunk], add_special_tokens=False)
        for place, (number, _) in enumerate(chunk):
            words = np.array(encoded.word_ids(place), dtype=np.int64)
            begins = np.diff(words, prepend=-1) != 0
            yield number, (np.array(encoded["input_ids"][place], dtype=np.int32), begins)


def _pack(paragraphs: Iterable[tuple[int, Piece]], size: int) -> Iterator[Piece]:
    """Sequences of at most `size` tokens, of whole paragraphs of one document where they fit."""
    held: list[Piece] = []
    current = -1

    def joined() -> Iterator[Piece]:
        ids, begins = (np.concatenate(parts) for parts in zip(*held, strict=True))
        for start in range(0, len(ids), size):
            if len(ids) - start >= _SHORTEST:
                first = begins[start : start + size].copy()
                first[0] = True  # where a paragraph was cut inside a word
                yield ids[start : start + size], first

    for number, piece in paragraphs:
        length = sum(len(ids) for ids, _ in held)
        if held and (number != current or length + len(piece[0]) > size):
            yield from joined()
            held = []
        held.append(piece)
        current = number
    if held:
        yield from joined()
