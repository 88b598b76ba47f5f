"""Who speaks, across sentences: from a pronoun, a role or a short name to the full name.

A sentence is read on its own, so its source may be «katanya», «Badan itu» or «Kirby», and the
middle of a long quotation has no source at all. The rules below link these to an earlier mention,
by recency, parts of names, role nouns and quotation marks, and leave the rest alone.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from stance.mentions import (
    Kind,
    Mention,
    find_mentions,
    fuller,
    is_institutional,
    is_pronoun,
    is_role,
    leading_subject,
    names_nobody,
    role_noun,
)
from stance.results import SentencePrediction

Rule = Literal["name", "pronoun", "role", "institution", "quotation"]

# How many sentences back a speaker may stand and still be «katanya».
_WINDOW = 8
# More names than an article has; what is no article still takes time linear in its length.
_REMEMBERED = 400
# A longer run between two quotation marks is a mark that was forgotten.
_LONGEST_QUOTATION = 8
_FIRST_PERSON = frozenset({"saya", "aku", "kami", "kita"})
_MARK = re.compile(r"[“”\"]")
# «kata dia» points back to who spoke; in «Setelah bertemu Kirby, ia mengatakan» the verb follows.
_VERB_BEFORE = re.compile(r"(?:kata|ujar|ucap|tutur|jelas|ungkap|tambah|lanjut|menurut)\s$", re.I)


@dataclass(frozen=True, slots=True)
class LinkedSource:
    """Whose word a sentence is, found outside of it.

    `text` is the fullest mention of the speaker so far, and `document[start:end] == text`; `rule`
    says what linked it.
    """

    text: str
    start: int
    end: int
    rule: Rule

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"text": self.text, "start": self.start, "end": self.end, "rule": self.rule}


def link_sources(sentences: Sequence[SentencePrediction]) -> list[LinkedSource | None]:
    """Link the sources of a document's sentences to the mentions that they stand for.

    Args:
        sentences: all sentences of one document, in order, with their `source` spans.

    Returns:
        One entry per sentence: None where the sentence names its source in full, has none, or no
        rule is sure enough.
    """
    quotations = list(_quotations(sentences))
    document = _Document(sentences, {at for members in quotations for at in members})
    links = [document.read(sentence) for sentence in sentences]
    for at, speaking in _quoted(sentences, quotations):
        if (speaker := document.speakers[speaking]) is not None:
            links[at] = LinkedSource(speaker.text, speaker.start, speaker.end, "quotation")
    return links


class _Document:
    """What has been read of a document: who was named, who spoke, whom it was about.

    `speakers` and `subjects` have one entry per sentence read; a subject is the person whom a
    sentence of the newsroom begins with.
    """

    def __init__(self, sentences: Sequence[SentencePrediction], quoted: Set[int]) -> None:
        self.quoted = quoted
        self.speaking_names = {
            word for sentence in sentences if (who := _source(sentence)) for word in who.name
        }
        self.sources: list[Mention | None] = []
        self.speakers: list[Mention | None] = []
        self.subjects: list[Mention | None] = []
        self.spoken: deque[Mention] = deque(maxlen=_REMEMBERED)
        self.named: deque[Mention] = deque(maxlen=_REMEMBERED)

    def read(self, sentence: SentencePrediction) -> LinkedSource | None:
        """Link the next sentence's source, and remember whom the sentence names."""
        source = _source(sentence)
        found = self._resolve(source, sentence) if source is not None else None
        if found is not None:
            self.speakers.append(found[0])
        else:
            self.speakers.append(source if source and not names_nobody(source.text) else None)
        newsroom = source is None and len(self.sources) not in self.quoted
        self.subjects.append(self._subject(sentence) if newsroom else None)
        self.sources.append(source)
        if source and not names_nobody(source.text) and role_noun(source.text) is None:
            self.spoken.append(source)
        self.named.extend(find_mentions(sentence.text, sentence.start))
        if found is None:
            return None
        referent, rule = found
        return LinkedSource(referent.text, referent.start, referent.end, rule)

    def _resolve(
        self, source: Mention, sentence: SentencePrediction
    ) -> tuple[Mention, Rule] | None:
        rule: Rule
        referent: Mention | None
        if is_pronoun(source.text):
            rule, referent = "pronoun", self._pronoun(source, sentence)
        elif is_institutional(source.text):
            rule, referent = "institution", self._last_speaker()
        elif noun := role_noun(source.text):
            rule, referent = "role", self._role(source, noun)
        else:
            rule, referent = "name", self._fuller(source)
        return None if referent is None else (referent, rule)

    def _pronoun(self, source: Mention, sentence: SentencePrediction) -> Mention | None:
        before = sentence.text[: source.start - sentence.start]
        if source.text.lower().endswith("nya") or _VERB_BEFORE.search(before):
            return self._last_speaker(Kind.PERSON) or self._last_subject(2)
        within = self._subject(sentence) if before.strip('“"') else None
        return within or self._last_subject(_WINDOW) or self._last_speaker(Kind.PERSON)

    def _role(self, source: Mention, noun: str) -> Mention | None:
        words = source.text.split()
        if len(words) <= 2:
            for mention in reversed([*self.named, *self.spoken]):
                if mention.starts_with(noun) and " " in mention.text:
                    return self._fuller(mention) or mention
        if len(words) > 1 and is_role(noun):
            return self._last_subject(_WINDOW) or self._last_speaker(Kind.PERSON)
        return None

    def _last_speaker(self, kind: Kind | None = None) -> Mention | None:
        """Who spoke last, unless that is unknown or not of this kind; documents do not count."""
        for source, speaker in _backwards(self.sources, self.speakers, _WINDOW):
            if source is not None and source.kind is not Kind.THING:
                known = speaker is not None and kind in (None, speaker.kind)
                return speaker if known else None
        return None

    def _last_subject(self, window: int) -> Mention | None:
        """The person whom the newsroom wrote about last, if nobody has spoken since."""
        for source, subject in _backwards(self.sources, self.subjects, window):
            if source is not None or subject is not None:
                return subject
        return None

    def _subject(self, sentence: SentencePrediction) -> Mention | None:
        """The person whom a sentence begins with: one with a title, or one who speaks elsewhere."""
        subject = leading_subject(sentence.text, sentence.start)
        if subject is None or subject.kind is not Kind.PERSON or not subject.name:
            return None
        if not subject.role_led and not self.speaking_names.issuperset(subject.name):
            return None
        return self._fuller(subject) or subject

    def _fuller(self, mention: Mention) -> Mention | None:
        """The fullest earlier mention of the same name, if it says more than this one.

        Those who spoke are looked at before those whom the text only names, since there the edges
        of a name are less certain.
        """
        return fuller(mention, self.spoken) or fuller(mention, self.named)


_Column = list[Mention | None]


def _backwards(
    sources: _Column, others: _Column, window: int
) -> Iterator[tuple[Mention | None, Mention | None]]:
    """The last pairs of two columns, the latest first."""
    return islice(zip(reversed(sources), reversed(others), strict=True), window)


def _source(sentence: SentencePrediction) -> Mention | None:
    """The source of a sentence, unless it is the «saya» of somebody quoted."""
    span = sentence.spans.get("source")
    if span is None or span.text.lower() in _FIRST_PERSON:
        return None
    return Mention(span.text, span.start, span.end)


def _quoted(
    sentences: Sequence[SentencePrediction], quotations: Sequence[range]
) -> Iterator[tuple[int, int]]:
    """Pairs of a quoted sentence without a source and the sentence that has its speaker.

    That is one of the same quotation, or the sentence right before a quotation that stands alone.
    """
    for members in quotations:
        speaking = [at for at in members if _source(sentences[at]) is not None]
        if not speaking:
            alone = sentences[members[-1]].text.rstrip(".,").endswith(("”", '"'))
            before = members[0] - 1
            if alone and before >= 0 and _source(sentences[before]) is not None:
                speaking = [before]
        if speaking and len(members) <= _LONGEST_QUOTATION:
            for at in members:
                if _source(sentences[at]) is None and re.search(r"\w", sentences[at].text):
                    yield at, speaking[-1]


def _quotations(sentences: Sequence[SentencePrediction]) -> Iterator[range]:
    """The sentences of each quotation that begins a sentence or goes on in the next."""
    first: int | None = None
    for at, sentence in enumerate(sentences):
        is_open, opened = first is not None, 0
        for mark in _MARK.finditer(sentence.text):
            is_open = _opens(sentence.text, mark.start(), is_open)
            opened = mark.start() if is_open else opened
        # A quotation whose speaker follows in its own sentence has ended there, mark or no mark.
        source = _source(sentence)
        if is_open and source is not None and source.start - sentence.start >= opened:
            is_open = False
        if first is None and (is_open or sentence.text.startswith(("“", '"'))):
            first = at
        if first is not None and not is_open:
            yield range(first, at + 1)
            first = None
    if first is not None:
        yield range(first, len(sentences))


def _opens(text: str, at: int, is_open: bool) -> bool:
    """Whether the quotation mark at `at` opens; a straight one between spaces turns the state."""
    if text[at] != '"':
        return text[at] == "“"
    before, after = text[:at][-1:].strip("(:"), text[at + 1 : at + 2]
    if before.strip():
        return False
    return bool(after.strip()) or not is_open
