"""A reader by cue words: the baseline that asks whether a language model was needed at all.

It follows the guideline's order of decisions: is there a claim; is it denied, left open, confirmed
or flatly on somebody's word; who is that somebody; what kind of claim is it. The words stand in
`training.cues`; of each list, the first pattern that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from training import cues

# The scheme that it is written for.
LABELS: Final = {
    "claim_type": ("rule", "prediction", "causal", "quantity", "opinion", "event", "none"),
    "certainty": ("confirmed", "stated", "alleged", "denied", "none"),
    "attribution": ("newsroom", "named", "unnamed", "none"),
}


def read(text: str) -> dict[str, str]:
    """The three labels of a sentence, certainty in its fine form (`stated` apart)."""
    if not _claims(text):
        return dict.fromkeys(LABELS, "none")
    certainty = _certainty(text)
    return {
        "claim_type": _claim_type(text),
        "certainty": certainty,
        "attribution": _attribution(text, certainty),
    }


def _claims(text: str) -> bool:
    if any(pattern.search(text) for pattern in cues.NO_CLAIM):
        return False
    words = len(text.split())
    return (
        bool(cues.PREDICATE.search(text))
        or words > 9
        or (words > 2 and text.rstrip('"”')[-1:] == ".")
    )


def _certainty(text: str) -> str:
    if cues.NOT_DENIED.search(text) or _matches(cues.ALLEGED, text):
        return "alleged"
    if _matches(cues.DENIED, text):
        return "denied"
    spoken = _speaks(text)
    if _matches((cues.DOUBTED, cues.HEDGED), text) or (
        spoken and cues.FORECAST.search(text) and cues.FUTURE.search(text)
    ):
        return "alleged"
    if _matches(cues.CONFIRMED, _outside(text)):
        return "confirmed"
    return "stated" if spoken else "confirmed"


def _outside(text: str) -> str:
    """The words around the quotations, each of which leaves a mark in its place."""
    text = cues.CLOSED_QUOTE.sub(f" {cues.QUOTE} ", text) if _odd_quote(text) else text
    return cues.QUOTED.sub(lambda m: f" {cues.QUOTE} " if len(m.group().split()) > 2 else " ", text)


def _odd_quote(text: str) -> bool:
    return not re.match(r"\W", text) and len(re.findall('["“”]', text)) % 2 == 1


def _speaks(text: str) -> bool:
    """Whether anybody but the newsroom does: a quotation, a speech verb, a first person."""
    outside = _outside(text)
    return bool(
        re.match(r"^\W*[\"“]", text)
        or _odd_quote(text)
        or cues.HEADLINE_SOURCE.match(text)
        or (cues.QUOTE in outside and cues.STEM.search(outside))
        or cues.SPEECH.search(outside)
        or re.search(r", " + cues.SPEECH_STEM + r"(?:nya)?\b", outside)
        or cues.FIRST_PERSON.search(outside)
    )


def _attribution(text: str, certainty: str) -> str:
    outside = _outside(text)
    if cues.IGNORANCE.search(outside):
        return "newsroom"
    source = _source(outside)
    if source is None:
        if certainty == "alleged":
            return "unnamed" if cues.AGENTLESS.search(outside) or _speaks(text) else "newsroom"
        headline_denial = certainty == "denied" and cues.DENIED[0].match(text)
        return "unnamed" if certainty == "stated" or headline_denial else "newsroom"
    return "unnamed" if cues.UNNAMED.search(source) and not cues.NAME.search(source) else "named"


def _source(outside: str) -> str | None:
    """The words that name who speaks, denies, confirms or suspects; None without such words."""
    if headline := cues.HEADLINE_SOURCE.match(outside):
        return headline.group()
    agent = cues.AGENT.search(outside)
    if agent and (named := cues.AFTER_VERB.match(outside[agent.end() :])):
        return named.group(1)
    if re.search(cues.SPEECH_STEM + r"nya\b", outside, re.IGNORECASE):
        return "ia"
    if cues.AGENTLESS.search(outside):
        return None
    for pattern in (
        *cues.ALLEGED,
        cues.DENIED[0],
        cues.DOUBTED,
        *cues.CONFIRMED,
        cues.SPEECH,
        cues.STEM,
    ):
        if verb := pattern.search(outside):
            before = re.split(r"[.;:!] | [-–—] ", outside[: verb.start()])[-1].strip(" ,")
            if before or pattern in cues.CONFIRMED:
                return before or verb.group()
            after = cues.AFTER_VERB.match(outside[verb.end() :])
            return after.group(1) if after and pattern is cues.STEM else None
    return None


def _claim_type(text: str) -> str:
    return next((label for label, pattern in cues.TYPES.items() if pattern.search(text)), "event")


def _matches(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)
