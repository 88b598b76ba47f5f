"""An article as one HTML page: every sentence coloured and marked by its certainty.

The page asks nothing of the network and runs no script: its policy forbids both. Marks and tags
are drawn by the style sheet, so that the page's own text is the article's, letter for letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from stance.results import SentencePrediction

# One mark per certainty, so that nothing rests on colour alone.
_MARKS = {"confirmed": "✓", "alleged": "?", "denied": "✗", "uncertain": "~", "none": "·"}
_MEANINGS = {
    "confirmed": "presented as established",
    "alleged": "left open, or on somebody’s word",
    "denied": "reported as rejected",
    "uncertain": "the model does not know",
    "none": "claims nothing",
}
_SPAN_TAGS = {"cue": "u", "source": "b"}

# Okabe and Ito's palette (2008), which people with any colour vision tell apart, made pale or dark
# enough for text to be read on it; and a line of another shape below each.
_STYLE = (
    """
:root { color-scheme: light dark; --page: #fff; --ink: #1a1a1a; --soft: #595959; --rule: #ccc;
  --confirmed: #d6eaf8; --confirmed-line: #00629b; --alleged: #fff0c2; --alleged-line: #8f5c00;
  --denied: #f6d9ea; --denied-line: #a8326f; --uncertain: #e6e6e6; --uncertain-line: #595959; }
@media (prefers-color-scheme: dark) {
  :root { --page: #161616; --ink: #ececec; --soft: #a8a8a8; --rule: #444;
    --confirmed: #12384f; --confirmed-line: #56b4e9; --alleged: #4a3905; --alleged-line: #f0b429;
    --denied: #4f1c3a; --denied-line: #e79bc6; --uncertain: #333; --uncertain-line: #a8a8a8; } }
body { background: var(--page); color: var(--ink); margin: 0 auto; max-width: 46rem;
  padding: 1.5rem 1rem 4rem; font: 1.0625rem/1.9 Georgia, "Times New Roman", serif; }
h1, h2, .legend, .counts { font-family: system-ui, sans-serif; line-height: 1.4; }
h1 { font-size: 1.4rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
.legend { background: var(--page); border: 1px solid var(--rule); border-radius: .4rem;
  font-size: .8125rem; line-height: 1.7; margin: 0 0 1.5rem; padding: .5rem .75rem; }
.legend label { display: block; }
.legend input { margin: 0 .4rem 0 0; vertical-align: middle; }
.legend p { color: var(--soft); margin: .3rem 0 0; }
.counts { color: var(--soft); font-size: .8125rem; margin: .15rem 0 1rem; }
section + section { border-top: 1px solid var(--rule); margin-top: 2rem; padding-top: 1.5rem; }
.text { overflow-wrap: anywhere; white-space: pre-wrap; }
.s { border-bottom: 2px solid transparent; border-radius: .2rem; padding: .1em .15em;
  unicode-bidi: isolate; -webkit-box-decoration-break: clone; box-decoration-break: clone;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.s::before { content: attr(data-mark) "\\a0"; font: 700 .8em system-ui, sans-serif; }
.s[data-tag]::after { content: "\\a0" attr(data-tag); color: var(--soft);
  font: .68em system-ui, sans-serif; }
.confirmed { background: var(--confirmed); border-bottom: 2px solid var(--confirmed-line); }
.alleged { background: var(--alleged); border-bottom: 2px dashed var(--alleged-line); }
.denied { background: var(--denied); border-bottom: 3px double var(--denied-line); }
.uncertain { background: var(--uncertain); border-bottom: 2px dotted var(--uncertain-line); }
.confirmed::before { color: var(--confirmed-line); }
.alleged::before { color: var(--alleged-line); }
.denied::before { color: var(--denied-line); } .none { color: var(--soft); }
u { text-decoration: underline; text-decoration-thickness: .1em; text-underline-offset: .15em; }
"""
    + "".join(
        # A box of the legend that is not ticked dims its sentences.
        f"body:has(#show-{label}:not(:checked)) .text .{label} {{ opacity: .25; }}\n"
        for label in _MARKS
    )
    + "body:not(:has(.text .uncertain)) label:has(.uncertain) { display: none; }\n"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

PAGE_END = "</main>\n</body>\n</html>\n"


def render_article(title: str, text: str, sentences: Sequence[SentencePrediction]) -> str:
    """One article as a whole page.

    Args:
        title: the page's heading, plain text.
        text: the document, which is shown as it is, blank lines and all.
        sentences: its sentences in order, as `Predictor.analyze(text)` gives them.
    """
    return page_start(title) + section("", text, sentences) + PAGE_END


def page_start(title: str) -> str:
    """What a page holds before its first section: head, heading, legend. `PAGE_END` closes it."""
    name = escape(title)
    boxes = "".join(
        f'<label><input type="checkbox" id="show-{label}" checked>'
        f'<span class="s {label}" data-mark="{_MARKS[label]}">{label}</span> {meaning}</label>\n'
        for label, meaning in _MEANINGS.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="id">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<main>\n<h1>{name}</h1>\n<div class="legend" lang="en">\n{boxes}'
        "<p><u>Underlined</u>: the words that decide it. <b>Bold</b>: whose word it is. Small: the "
        "kind of claim; point at a sentence for more. The colour says how the sentence presents "
        "the claim, not whether it is true.</p>\n</div>\n"
    )


def section(heading: str, text: str, sentences: Sequence[SentencePrediction]) -> str:
    """One document of a page, under a heading if it has one."""
    counts = Counter(sentence.labels.get("certainty") for sentence in sentences)
    found = ", ".join(f"{counts[label]} {label}" for label in _MARKS if counts[label])
    total = f"{len(sentences)} sentence{'' if len(sentences) == 1 else 's'}"
    summary = f"{total}: {found}" if found else total
    return (
        "<section>\n"
        + (f"<h2>{escape(heading)}</h2>\n" if heading else "")
        + f'<p class="counts" lang="en">{summary}</p>\n'
        + f'<div class="text">{"".join(_marked(text, sentences))}</div>\n</section>\n'
    )


def _marked(text: str, sentences: Sequence[SentencePrediction]) -> Iterator[str]:
    position = 0
    for sentence in sentences:
        label = sentence.labels.get("certainty", "none")
        label = label if label in _MARKS else "none"
        yield escape(text[position : sentence.start])
        yield (
            f'<span class="s {label}" data-mark="{_MARKS[label]}" '
            f'{_tag(sentence)}title="{escape(_explanation(sentence))}">'
        )
        yield from _with_spans(text, sentence)
        yield "</span>"
        position = sentence.end
    yield escape(text[position:])


def _with_spans(text: str, sentence: SentencePrediction) -> Iterator[str]:
    """The sentence in pieces: each lies in the same spans from end to end, as spans may overlap."""
    spans = [(_SPAN_TAGS.get(name, "i"), span) for name, span in sentence.spans.items()]
    edges = {sentence.start, sentence.end}
    edges.update(edge for _, span in spans for edge in (span.start, span.end))
    for start, end in pairwise(sorted(edges)):
        tags = [tag for tag, span in spans if span.start <= start and end <= span.end]
        opening = "".join(f"<{tag}>" for tag in tags)
        closing = "".join(f"</{tag}>" for tag in reversed(tags))
        yield opening + escape(text[start:end]) + closing


def _tag(sentence: SentencePrediction) -> str:
    """The kind of claim; every label, where the bundle has another scheme."""
    kind = sentence.labels.get("claim_type") or ", ".join(sentence.labels.values())
    return f'data-tag="{escape(kind)}" ' if kind != "none" else ""


def _explanation(sentence: SentencePrediction) -> str:
    lines = [
        f"{name.replace('_', ' ')}: {head.label} ({head.confidence:.2f})"
        + (f", {head.reason}" if head.label != head.model_label else "")
        for name, head in sentence.heads.items()
    ]
    lines += [f"{name}: {span.text}" for name, span in sentence.spans.items()]
    if sentence.truncated:
        lines.append("too long: its end was not read")
    return "\n".join(lines)
