"""The model card: generated with the bundle, from the same numbers as its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stance.bundle import Head
from training.metrics import Gate, HeadScore
from training.scores import SystemScore
from training.span_scores import SpanScore


def render_card(
    heads: Sequence[Head],
    scores: Mapping[str, HeadScore],
    spans: Mapping[str, SpanScore],
    gate: Gate,
    baselines: Sequence[SystemScore],
    provenance: Mapping[str, Any],
    model_bytes: int,
) -> str:
    """Markdown: what the model is, what went in, how good it is on the dev rows."""
    base = provenance["base"]
    lines = [
        "# Model card",
        "",
        "Reads one sentence of Indonesian news and answers: "
        + "; ".join(f"**{head.name}** ({', '.join(head.reported_labels)})" for head in heads)
        + ".",
        "",
        f"- Base encoder asked for: `{base['requested']}`; really used: `{base['used']}`"
        + (f", fine-tuned (weights {base['weights'][:12]})." if base.get("weights") else "."),
        *_taught(provenance.get("teacher")),
        f"- Graph: {_graph(gate)}, {model_bytes / 1e6:.1f} MB.",
        f"- Made with: {', '.join(f'{n} {v}' for n, v in provenance['versions'].items())}.",
        "",
        "## Training data",
        "",
        "| part | file | rows | sha256 |",
        "|---|---|---|---|",
    ]
    for part in ("train", "dev"):
        lines += [
            f"| {part} | {file['path']} | {file['rows']:,} | {file['sha256'][:12]} |"
            for file in provenance["data"][part]
        ]
    if provenance.get("notes"):
        lines += ["", provenance["notes"]]
    lines += [
        "",
        "## Scores on the dev rows",
        "",
        "From the shipped graph. The best epoch was chosen and the calibration fitted on the same "
        "rows, so they flatter.",
    ]
    if baselines:
        lines += [
            "",
            "| macro-F1 | " + " | ".join(head.name for head in heads) + " |",
            "|---" * (1 + len(heads)) + "|",
        ]
        lines += [
            _row(system.name, [system.tasks.get(head.name) for head in heads])
            for system in baselines
        ]
        lines.append(_row("**this bundle**", [scores[head.name] for head in heads]))
    for head in heads:
        result = scores[head.name]
        lines += [
            "",
            f"### {head.name}: macro-F1 {result.macro_f1:.3f}, accuracy {result.accuracy:.3f} "
            f"({result.rows:,} rows, temperature {head.temperature}{_biases(head)})",
            "",
            "| class | precision | recall | F1 | rows |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {label} | {c.precision:.3f} | {c.recall:.3f} | {c.f1:.3f} | {c.support:,} |"
            for label, c in result.classes.items()
        ]
    if spans:
        lines += [
            "",
            "### Spans: F1 by the same words, and by at least one character in common",
            "",
            "| span | exact F1 | overlap F1 | annotated | rows |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {s.exact.f1:.3f} | {s.overlap.f1:.3f} | {s.annotated:,} | {s.rows:,} |"
            for name, s in spans.items()
        ]
    return "\n".join(lines) + "\n"


def _taught(teacher: Mapping[str, str] | None) -> list[str]:
    if not teacher:
        return []
    return [f"- Taught by the bundle `{teacher['path']}` (graph {teacher['sha256'][:12]})."]


def _biases(head: Head) -> str:
    pairs = zip(head.labels, head.biases, strict=True) if head.biases else ()
    return ", biases " + " ".join(f"{label} {bias:+.2f}" for label, bias in pairs) if pairs else ""


def _row(name: str, results: Sequence[HeadScore | None]) -> str:
    cells = [f"{result.macro_f1:.3f}" if result else "" for result in results]
    return f"| {' | '.join([name, *cells])} |"


def _graph(gate: Gate) -> str:
    if gate.quantization == "none":
        return "float32"
    lost = ", ".join(f"{head} {loss:+.4f}" for head, loss in gate.macro_f1_loss.items())
    changed = ", ".join(f"{head} {share:.1%}" for head, share in gate.labels_changed.items())
    verdict = "passed the gate" if gate.passed else "failed the gate, so float32 is shipped"
    return f"int8 {verdict} (macro-F1 lost against float32: {lost}; labels changed: {changed})"
