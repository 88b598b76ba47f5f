"""Who says what: an article condensed to its sources and what each of them says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from stance.bundle import Bundle
from stance.errors import BundleError
from stance.linking import LinkedSource, Rule, link_sources
from stance.mentions import Mention, fuller, names_nobody
from stance.results import SentencePrediction, Span

Act = Literal["confirms", "states", "alleges", "denies", "predicts"]

ACTS: tuple[Act, ...] = ("confirms", "states", "alleges", "denies", "predicts")
HEADS = ("claim_type", "certainty", "attribution")
_ACT_OF_CERTAINTY: dict[str, Act] = {
    "confirmed": "confirms",
    "stated": "states",
    "alleged": "alleges",
    "denied": "denies",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence as somebody's claim; `start` and `end` count characters of the document.

    `act` is what the speaker does with it. A sentence whose fine certainty is `stated` rests on
    the speaker's word alone: its act is `states`, though its `certainty`, in the three-way scheme,
    is `alleged`. A prediction is `predicts` whatever its certainty, unless it is denied. `rule`
    says how its speaker was found, where that was outside of the sentence.
    """

    text: str
    start: int
    end: int
    act: Act
    claim_type: str
    certainty: str
    cue: Span | None
    rule: Rule | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "act": self.act,
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "claim_type": self.claim_type,
            "certainty": self.certainty,
            "cue": self.cue.to_dict() if self.cue else None,
            "linked_by": self.rule,
        }


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody and their claims, in the order of the document.

    `name` is the fullest form in the document; None where no words name a source: an agentless
    «diduga», a quotation or a «katanya» whose speaker was not found.
    """

    name: str | None
    claims: tuple[Claim, ...]

    @property
    def counts(self) -> dict[Act, int]:
        """How many claims of each act."""
        counted = Counter(claim.act for claim in self.claims)
        return {act: counted[act] for act in ACTS}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        claims = [claim.to_dict() for claim in self.claims]
        return {"name": self.name, "counts": self.counts, "claims": claims}


@dataclass(frozen=True, slots=True)
class Summary:
    """A document by source: those it names, those it does not identify, and the newsroom itself.

    Sources stand in the order in which they first speak. `without_claim` counts the sentences that
    claim nothing.
    """

    named: tuple[Source, ...]
    unnamed: tuple[Source, ...]
    newsroom: tuple[Claim, ...]
    without_claim: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "named": [source.to_dict() for source in self.named],
            "unnamed": [source.to_dict() for source in self.unnamed],
            "newsroom": [claim.to_dict() for claim in self.newsroom],
            "without_claim": self.without_claim,
        }


def summarise(sentences: Sequence[SentencePrediction], link: bool = True) -> Summary:
    """Condense a document to its sources and their claims.

    Args:
        sentences: all sentences of one document, in order, with the heads `claim_type`,
            `certainty` and `attribution` and the span `source`.
        link: find speakers across sentences (`stance.linking`) and merge them under their fullest
            name; otherwise every form of a name is a source of its own.

    Raises:
        KeyError: a sentence lacks one of the heads.
    """
    links = link_sources(sentences) if link else [None] * len(sentences)
    named: dict[str, list[Claim]] = {}
    unnamed: dict[str | None, list[Claim]] = {}
    newsroom: list[Claim] = []
    for sentence, found in zip(sentences, links, strict=True):
        if "none" in (sentence["claim_type"].model_label, sentence["certainty"].model_label):
            continue
        claim, name = _claim(sentence, found), _name(sentence, found)
        if _is_newsroom(sentence, found):
            newsroom.append(claim)
        elif name is not None and (found or sentence["attribution"].model_label == "named"):
            named.setdefault(name, []).append(claim)
        else:
            unnamed.setdefault(name, []).append(claim)
    claims = len(newsroom) + sum(map(len, [*named.values(), *unnamed.values()]))
    return Summary(
        named=_sources(_merged(named) if link else named),
        unnamed=_sources(unnamed),
        newsroom=tuple(newsroom),
        without_claim=len(sentences) - claims,
    )


def _claim(sentence: SentencePrediction, link: LinkedSource | None) -> Claim:
    certainty = sentence["certainty"]
    # A sentence on which the predictor abstains counts by its most probable label.
    claim_type = sentence["claim_type"].model_label
    act = _ACT_OF_CERTAINTY[certainty.fine_label]
    if claim_type == "prediction" and act != "denies":
        act = "predicts"
    return Claim(
        sentence.text,
        sentence.start,
        sentence.end,
        act,
        claim_type,
        certainty.model_label,
        sentence.spans.get("cue"),
        link.rule if link else None,
    )


def _is_newsroom(sentence: SentencePrediction, link: LinkedSource | None) -> bool:
    """Whether nobody else speaks; inside a quotation, somebody does whatever the label."""
    quoted = link is not None and link.rule == "quotation"
    return sentence["attribution"].model_label == "newsroom" and not quoted


def _name(sentence: SentencePrediction, link: LinkedSource | None) -> str | None:
    """The words that name who speaks, or None where there are none that say anything."""
    if link is not None:
        return link.text
    source = sentence.spans.get("source")
    return source.text if source is not None and not names_nobody(source.text) else None


def _merged(claims: dict[str, list[Claim]]) -> dict[str, list[Claim]]:
    """The same claims, with those of a shorter name moved to the fullest."""
    mentions = [Mention(name, 0, 0) for name in claims]
    by_word: dict[str, list[Mention]] = {}
    for mention in mentions:
        for word in {word.strip("(),") for word in mention.text.split()}:
            by_word.setdefault(word, []).append(mention)
    merged: dict[str, list[Claim]] = {}
    for mention in mentions:
        last = (mention.name or mention.text.split())[-1]
        fullest = fuller(mention, by_word.get(last, ())) or mention
        merged.setdefault(fullest.text, []).extend(claims[mention.text])
    return merged


def _sources(claims: Mapping[Any, list[Claim]]) -> tuple[Source, ...]:
    return tuple(
        Source(name, tuple(sorted(said, key=lambda claim: claim.start)))
        for name, said in claims.items()
    )


def check_bundle(bundle: Bundle) -> None:
    """See that a bundle has what a summary is made of.

    Raises:
        BundleError: it lacks one of the three heads or the `source` span, or its certainty has
            labels that no act stands for.
    """
    labels = {head.name: set(head.labels) for head in bundle.heads}
    if missing := set(HEADS) - set(labels):
        raise BundleError(f"{bundle.path} has no head {', '.join(sorted(missing))} to summarise by")
    if unknown := labels["certainty"] - {"none", *_ACT_OF_CERTAINTY}:
        raise BundleError(
            f"{bundle.path} has the certainty {', '.join(sorted(unknown))}, which no summary knows"
        )
    if "source" not in bundle.spans:
        raise BundleError(
            f"{bundle.path} has no `source` span, so who says what is not known: "
            "train it with spans, or name another with --model"
        )


def print_summary(summary: Summary, title: str, stream: TextIO) -> None:
    """A table with a section per source, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from stance.writers import CERTAINTY_STYLES, SPAN_STYLES

    table = Table(
        title=Text(_printable(title)),
        title_justify="left",
        pad_edge=False,
        caption="`states`: on the source's word alone, which counts as alleged. "
        f"Sentences without a claim: {summary.without_claim}.",
        caption_justify="left",
    )
    table.add_column("source", ratio=2)
    table.add_column("", no_wrap=True)
    table.add_column("claim", ratio=5)
    sections = [
        *((Text(_printable(s.name or ""), style="bold"), s.claims) for s in summary.named),
        *((Text(_printable(s.name or "not identified")), s.claims) for s in summary.unnamed),
        (Text("the newsroom", style="italic"), summary.newsroom),
    ]
    for name, claims in sections:
        for act in ACTS:
            for claim in (claim for claim in claims if claim.act == act):
                text = Text(_printable(claim.text))
                if claim.cue is not None:
                    start = claim.cue.start - claim.start
                    text.stylize(SPAN_STYLES["cue"], start, start + len(claim.cue.text))
                style = CERTAINTY_STYLES.get(claim.certainty, "")
                table.add_row(name, Text(claim.act, style=style), text)
                name = Text("")
        table.add_section()
    Console(file=stream).print(table)


def _printable(text: str) -> str:
    """Without the characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
