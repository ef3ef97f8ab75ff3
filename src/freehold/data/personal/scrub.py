"""Scrub examples: what was found is masked, replaced by stand-ins, or its row is dropped.

A value that was found in one text of a row is taken out of all texts of that row, so that a target which
quotes the input stays right. What is no span is left as it is, to the character.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from typing import TypeAlias

from freehold.core.sections import PersonalKind, Treatment
from freehold.core.snapshot import Drop, Example
from freehold.data.derived import with_step
from freehold.data.personal.fields import texts_of, with_texts
from freehold.data.personal.find import Finder, finder, settle
from freehold.data.personal.key import keyed
from freehold.data.personal.lexicon import NO_NAMES
from freehold.data.personal.records import Finding, Found, Span
from freehold.data.personal.surrogates import MAKERS, Surrogates

RowSpans: TypeAlias = Mapping[str, tuple[Found, ...]]
"""The spans of one row by the place of their text; places without any are left out."""

QUOTED = "quoted"
"""The detector's name of a value that another text of the same row gave away."""
_LEAST_QUOTED = 4
_LEAST_QUOTED_NAME = 3
_MOST_ROUNDS = 8
_ROWS_AT_ONCE = 2_000
_WORDS_OF_NAME = re.compile(r"[^\W\d_]{3,}")
_ID_DIGITS = 12


@dataclass(frozen=True)
class Scrubbed:
    """Examples after scrubbing.

    `spans` counts what was masked or replaced, by kind and treatment, and `rows` the rows that were
    changed. `drops` are the rows that were left out.
    """

    examples: tuple[Example, ...]
    drops: tuple[Drop, ...]
    spans: Mapping[tuple[PersonalKind, Treatment], int]
    rows: int


# Find --------------------------------------------------------------------------------------------


def spans_of(example: Example, find: Finder) -> dict[str, tuple[Found, ...]]:
    """Return what every text of a row holds, values included that only another text gives away."""
    texts = dict(texts_of(example))
    found = {place: spans for place, text in texts.items() if (spans := find(text))}
    if not found:
        return {}
    quoted = _quotable(texts, found)
    if not quoted:
        return found
    pattern = _any_of(quoted)
    for place, text in texts.items():
        more = [
            Found(m.start(), m.end(), quoted[m.group()], 0.5, QUOTED)
            for m in pattern.finditer(text)
        ]
        spans = settle([*found.get(place, ()), *more]) if more else found.get(place, ())
        if spans:
            found[place] = spans
    return found


def spans_of_all(
    examples: Sequence[Example], kinds: Collection[PersonalKind], *, workers: int = 1
) -> list[dict[str, tuple[Found, ...]]]:
    """Return `spans_of` every example, in their order, on so many processes.

    With more than one worker the caller's main module must be importable (as any `spawn` asks).
    """
    if workers <= 1 or len(examples) <= _ROWS_AT_ONCE:
        find = finder(kinds)
        return [spans_of(example, find) for example in examples]
    parts = [
        (examples[start : start + _ROWS_AT_ONCE], frozenset(kinds))
        for start in range(0, len(examples), _ROWS_AT_ONCE)
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(chain.from_iterable(pool.map(_spans_of_part, parts)))


def _spans_of_part(
    part: tuple[Sequence[Example], frozenset[PersonalKind]],
) -> list[dict[str, tuple[Found, ...]]]:
    find = finder(part[1])
    return [spans_of(example, find) for example in part[0]]


def findings_of(example: Example, spans: RowSpans, *, key: bytes) -> tuple[Finding, ...]:
    """Return what may be kept of a row's spans: places and keyed digests, no values."""
    texts = dict(texts_of(example))
    return tuple(
        Finding(
            source=example.source,
            row=example.row,
            field=place,
            spans=tuple(_kept(texts[place], span, key) for span in found),
        )
        for place, found in spans.items()
    )


def _kept(text: str, span: Found, key: bytes) -> Span:
    value = text[span.start : span.end]
    identity = MAKERS[span.kind].identity(value) if span.kind in MAKERS else value.casefold()
    return Span(
        kind=span.kind,
        start=span.start,
        end=span.end,
        value_digest=keyed(key, "value", span.kind, identity).hex()[:16],
        score=span.score,
        detector=span.detector,
    )


def _quotable(texts: Mapping[str, str], found: RowSpans) -> dict[str, PersonalKind]:
    """Return the values, and the words of names, that are looked for in the other texts of a row."""
    values: dict[str, PersonalKind] = {}
    for place, spans in found.items():
        for span in spans:
            value = texts[place][span.start : span.end]
            if len(value) >= _LEAST_QUOTED or span.kind == "name":
                values[value] = span.kind
            if span.kind == "name":
                words = _WORDS_OF_NAME.findall(value)
                values.update({w: "name" for w in words if w.casefold() not in NO_NAMES})
    return {v: k for v, k in values.items() if len(v) >= _LEAST_QUOTED_NAME}


def _any_of(values: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(values, key=lambda value: (-len(value), value))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


# Scrub -------------------------------------------------------------------------------------------


class Scrubber:
    """What takes personal data out of examples, in one way for all of them.

    Args:
        treatments: what becomes of each kind; other kinds are not looked for.
        key: the project's secret, for stand-ins and for the marks of `distinct` columns.
        find: finds the kinds of `treatments`; the bundled detectors where it is left out.
        workers: processes to look with; 1 where `find` is given.
        distinct: a column whose values must stay apart (the groups of a split): its masks carry a
            keyed mark, `<EMAIL 1a2b3c4d>`.
        is_marked: whether each row gets an origin, and each changed one the steps that changed it.
    """

    def __init__(
        self,
        treatments: Mapping[PersonalKind, Treatment],
        *,
        key: bytes,
        find: Finder | None = None,
        workers: int = 1,
        distinct: str | None = None,
        is_marked: bool = False,
    ) -> None:
        self._treatments = treatments
        self._key = key
        self._find = find or finder(frozenset(treatments))
        self._workers = 1 if find is not None else workers
        self._distinct = None if distinct is None else f"fields.{distinct}"
        self._is_marked = is_marked
        self._surrogates = Surrogates(key)

    def scrub(self, examples: Sequence[Example]) -> Scrubbed:
        """Return the examples without what was found; their ids too are changed where they hold any."""
        return self.scrub_found(examples, self.look(examples))

    def look(self, examples: Sequence[Example]) -> list[dict[str, tuple[Found, ...]]]:
        """Return what each example holds."""
        if self._workers > 1:
            return spans_of_all(examples, frozenset(self._treatments), workers=self._workers)
        return [spans_of(example, self._find) for example in examples]

    def scrub_found(self, examples: Sequence[Example], spans: Sequence[RowSpans]) -> Scrubbed:
        """Return the examples without these spans, one mapping an example."""
        self.draw_for(examples, spans)
        kept: list[Example] = []
        drops: list[Drop] = []
        counts: dict[tuple[PersonalKind, Treatment], int] = {}
        changed = 0
        for example, found in zip(examples, spans, strict=True):
            reason = self._reason_to_drop(found)
            if reason is not None:
                drops.append(Drop(source=example.source, row=example.row, reason=reason))
                continue
            changed += bool(found)
            if found:
                kept.append(self._without(example, found, counts))
            else:
                kept.append(with_step(example) if self._is_marked else example)
        return Scrubbed(tuple(kept), tuple(drops), counts, changed)

    def text(self, text: str) -> str:
        """Return one text, such as a passage, without what is found in it; `drop` masks here."""
        spans = self._find(text)
        return self._rewritten("text", text, spans=spans, old=_values({"": text}, {"": spans}))[0]

    def treatment(self, kind: PersonalKind) -> Treatment:
        """Return what becomes of a kind: a kind without stand-ins is masked instead."""
        wanted = self._treatments.get(kind, "mask")
        return "mask" if wanted == "surrogate" and kind not in MAKERS else wanted

    def draw_for(self, examples: Sequence[Example], spans: Sequence[RowSpans]) -> None:
        """Draw the stand-ins of all values, so that they do not depend on the order of the rows."""
        values: list[tuple[PersonalKind, str, str]] = []
        for example, found in zip(examples, spans, strict=True):
            texts = dict(texts_of(example)) if found else {}
            for place, row_spans in found.items():
                for span in row_spans:
                    if self.treatment(span.kind) == "surrogate":
                        value = texts[place][span.start : span.end]
                        values.append((span.kind, value, span.detector))
        if values:
            self._surrogates.avoid(value for _, value, _ in values)
            self._surrogates.assign(values)

    def _reason_to_drop(self, found: RowSpans) -> str | None:
        kinds: list[PersonalKind] = [span.kind for spans in found.values() for span in spans]
        dropped = sorted({str(kind) for kind in kinds if self._treatments.get(kind) == "drop"})
        return f"holds personal data: {', '.join(dropped)}" if dropped else None

    def _without(
        self,
        example: Example,
        found: RowSpans,
        counts: dict[tuple[PersonalKind, Treatment], int],
    ) -> Example:
        old = _values(dict(texts_of(example)), found)
        steps: list[str] = []

        def change(place: str, text: str) -> str:
            changed, spans = self._rewritten(place, text, spans=found.get(place, ()), old=old)
            for span in spans:
                treatment = self.treatment(span.kind)
                counts[span.kind, treatment] = counts.get((span.kind, treatment), 0) + 1
                steps.append(
                    f"scrub: {span.kind} {_DONE[treatment]} at {place} {span.start}-{span.end}"
                )
            return changed

        scrubbed = with_texts(example, change)
        if self._find(example.id):
            mark = keyed(self._key, "id", example.id).hex()[:_ID_DIGITS]
            scrubbed = scrubbed.model_copy(update={"id": f"id-{mark}"})
        return with_step(scrubbed, *steps) if self._is_marked else scrubbed

    def _rewritten(
        self, place: str, text: str, *, spans: tuple[Found, ...], old: frozenset[str]
    ) -> tuple[str, tuple[Found, ...]]:
        """Return the text without its spans, and the spans.

        Taking a value out changes what stands beside the rest, so that an old value may be found where
        it was not before. So the result is looked at again, until no old value is found.
        """
        for _ in range(_MOST_ROUNDS):
            if not spans:
                return text, ()
            changed, pieces = self._replaced(place, text, spans)
            again = [span for span in self._find(changed) if changed[span.start : span.end] in old]
            if not again:
                return changed, spans
            spans = _joined(spans, [_back(span, pieces) for span in again])
        return self._replaced(place, text, spans)[0], spans

    def _replaced(
        self, place: str, text: str, spans: Sequence[Found]
    ) -> tuple[str, list[tuple[int, int, int]]]:
        """Return the new text, and of each replaced piece its old start and end and its new end."""
        parts: list[str] = []
        pieces: list[tuple[int, int, int]] = []
        end, length = 0, 0
        for span in spans:
            put = self._put(place, span, text[span.start : span.end])
            parts += (text[end : span.start], put)
            length += span.start - end + len(put)
            end = span.end
            pieces.append((span.start, span.end, length))
        return "".join([*parts, text[end:]]), pieces

    def _put(self, place: str, span: Found, value: str) -> str:
        if self.treatment(span.kind) == "surrogate":
            return self._surrogates.of(span.kind, value, detector=span.detector)
        mark = ""
        if place == self._distinct:
            mark = " " + keyed(self._key, "mask", span.kind, value.casefold()).hex()[:8]
        return f"<{span.kind.upper()}{mark}>"


_DONE: Mapping[Treatment, str] = {"mask": "masked", "surrogate": "replaced", "drop": "masked"}


def _values(texts: Mapping[str, str], found: RowSpans) -> frozenset[str]:
    return frozenset(
        texts[place][span.start : span.end] for place, spans in found.items() for span in spans
    )


def _back(span: Found, pieces: Sequence[tuple[int, int, int]]) -> Found:
    """Return a span of the changed text as one of the text before; it grows to whole pieces."""
    start, end = _before(span.start, pieces)[0], _before(span.end, pieces)[1]
    return span._replace(start=start, end=max(end, start + 1))


def _before(place: int, pieces: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Return where a place was: twice the same outside of pieces, else the piece's start and end."""
    shift, behind = 0, 0
    for old_start, old_end, new_end in pieces:
        new_start = old_start + shift
        if place <= new_start and place >= behind:
            break
        if new_start < place < new_end:
            return old_start, old_end
        shift, behind = new_end - old_end, new_end
    return place - shift, place - shift


def _joined(spans: Sequence[Found], more: Sequence[Found]) -> tuple[Found, ...]:
    """Return all spans in order, those that overlap made one."""
    joined: list[Found] = []
    for span in sorted((*spans, *more)):
        if joined and span.start < joined[-1].end:
            joined[-1] = joined[-1]._replace(end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return tuple(joined)
