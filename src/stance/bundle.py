"""The bundle: a folder that is the whole contract between training and inference.

`model.onnx` (all heads in one graph), `tokenizer.json`, `bundle.json` (this module's `Bundle`) and
`README.md` (the model card). Training writes bundles; everything else only reads them.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stance.errors import BundleError
from stance.protobuf import has_external_data
from stance.results import UNCERTAIN, HeadPrediction

FORMAT = 4
# The first had no biases, the second no checksum of the manifest itself, the third no tags.
_READABLE = (1, 2, 3, 4)
_CHECKSUM = "sha256"  # the key of the manifest's own
MANIFEST = "bundle.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CARD = "README.md"

MAX_MANIFEST_BYTES = 4 << 20
MAX_FILE_BYTES = 2 << 30  # the limit of a protobuf file, so of any graph without external data


@dataclass(frozen=True, slots=True)
class Head:
    """One classification task: `labels` in the order of the graph's output of the same name.

    `merge` maps a fine label to the one that is reported in its place; probabilities are added.
    Before the softmax, `temperature` divides the logits (Guo et al. 2017), and `biases`, one per
    label or none, are added to them (bias-corrected temperature scaling, Alexandari et al. 2020).
    `thresholds` holds, for reported labels, the probability below which a predictor that may
    abstain does so.
    """

    name: str
    labels: tuple[str, ...]
    merge: Mapping[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    biases: tuple[float, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def reported(self, label: str) -> str:
        """The label that is reported for a fine one."""
        return self.merge.get(label, label)

    @property
    def reported_labels(self) -> tuple[str, ...]:
        """The labels left after merging, in order of first appearance."""
        return tuple(dict.fromkeys(self.reported(label) for label in self.labels))

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Logits of any number of texts, shape (texts, labels), as they go into the softmax."""
        scaled: np.ndarray = logits / self.temperature
        return scaled + np.array(self.biases, logits.dtype) if self.biases else scaled

    def read_out(self, logits: np.ndarray, abstain: bool = False) -> HeadPrediction:
        """Logits of one text, shape (labels,), to calibrated probabilities and a label."""
        # Plain floats: for a handful of labels, numpy's calls cost more than the arithmetic.
        biases = self.biases or [0.0] * len(self.labels)
        scaled = [
            logit / self.temperature + bias
            for logit, bias in zip(logits.tolist(), biases, strict=True)
        ]
        top = max(scaled)
        exponentials = [math.exp(logit - top) for logit in scaled]
        total = sum(exponentials)
        fine = {
            label: value / total for label, value in zip(self.labels, exponentials, strict=True)
        }
        probabilities = dict.fromkeys(self.reported_labels, 0.0)
        for label, probability in fine.items():
            probabilities[self.reported(label)] += probability
        best = max(probabilities, key=probabilities.__getitem__)
        # The fine label is looked for inside the reported one, so that they never contradict.
        inside = [label for label in self.labels if self.reported(label) == best]
        fine_label = max(inside, key=fine.__getitem__)
        confidence, threshold = probabilities[best], self.thresholds.get(best, 0.0)
        label = UNCERTAIN if abstain and confidence < threshold else best
        return HeadPrediction(label, confidence, probabilities, fine_label, best, threshold)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest, typed. `path` is the folder it was read from.

    `spans` names the graph's span outputs, each of shape (batch, length, 3), in older formats
    (batch, length, 2): logits of every token, as `stance.spans` reads them.
    `provenance` (base, config, data, versions) and `metrics` are for people and reports: nothing
    in inference depends on them.
    """

    path: Path
    heads: tuple[Head, ...]
    spans: tuple[str, ...]
    max_length: int
    files: Mapping[str, str]
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and verify a bundle folder.

        Raises:
            BundleError: the folder, the manifest or a listed file is missing, altered or too
                large, the graph refers to files outside itself, or the manifest is not of this
                format.
        """
        folder = Path(path)
        manifest = folder / MANIFEST
        if not manifest.is_file():
            raise BundleError(f"no bundle at {folder}: {MANIFEST} is missing; check the path")
        if manifest.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{manifest} is too large to be a manifest")
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{manifest} is not valid JSON ({error}); restore it") from None
        if not isinstance(content, dict) or content.get("format") not in _READABLE:
            raise BundleError(f"{manifest} is not a bundle of format {FORMAT}; update stance")
        try:
            bundle = cls(
                path=folder.absolute(),  # what is unpickled elsewhere must find it again
                heads=tuple(
                    Head(
                        name=h["name"],
                        labels=tuple(h["labels"]),
                        merge=dict(h["merge"]),
                        temperature=float(h["temperature"]),
                        biases=tuple(float(bias) for bias in h.get("biases", ())),
                        thresholds=dict(h["thresholds"]),
                    )
                    for h in content["heads"]
                ),
                spans=tuple(content["spans"]),
                max_length=int(content["max_length"]),
                files=dict(content["files"]),
                provenance=dict(content["provenance"]),
                metrics=dict(content["metrics"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{manifest} lacks or misstates a field ({error})") from None
        bundle._verify()
        if content["format"] >= 3 and content.get(_CHECKSUM) != manifest_digest(content):
            raise BundleError(f"{manifest} was altered: its sha256 is not the one that it states")
        return bundle

    def _verify(self) -> None:
        manifest = self.path / MANIFEST
        if not self.heads or not all(head.labels for head in self.heads):
            raise BundleError(f"{manifest} lists no head or no labels")
        scales = all(head.temperature > 0 for head in self.heads)
        biases = all(
            len(head.biases) in (0, len(head.labels)) and all(map(math.isfinite, head.biases))
            for head in self.heads
        )
        if not scales or not biases or self.max_length < 4:
            raise BundleError(f"{manifest} has an impossible value")
        for name in (MODEL, TOKENIZER):
            if name not in self.files:
                raise BundleError(f"{manifest} does not list {name}")
        for name, digest in self.files.items():
            file = self.path / name
            if file.parent != self.path:
                raise BundleError(f"{manifest} lists {name!r}, which is not inside the bundle")
            if not file.is_file():
                raise BundleError(f"{file} is missing: the bundle is incomplete; copy it again")
            if file.stat().st_size > MAX_FILE_BYTES:
                raise BundleError(f"{file} is larger than any graph may be")
            if sha256(file) != digest:
                raise BundleError(f"{file} was altered: its sha256 differs from {MANIFEST}'s")
        model = self.path / MODEL
        if has_external_data(model):
            raise BundleError(f"{model} refers to data in other files; export it as one file")


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest_digest(content: Mapping[str, Any]) -> str:
    """The sha256 that a manifest states of itself: of all else in it, whatever its layout."""
    rest = {key: value for key, value in content.items() if key != _CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_manifest(
    folder: Path,
    heads: tuple[Head, ...],
    spans: tuple[str, ...],
    max_length: int,
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Write `bundle.json` for the files that already lie in `folder`."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "heads": [asdict(head) for head in heads],
        "spans": list(spans),
        "max_length": max_length,
        "files": {
            file.name: sha256(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST
        },
        "provenance": provenance,
        "metrics": metrics,
    }
    content[_CHECKSUM] = manifest_digest(content)
    text = json.dumps(content, ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a new folder that takes `target`'s place only if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            target.replace(old)
            fresh.replace(target)
            shutil.rmtree(old)
        else:
            fresh.replace(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
