"""Look at the texts themselves: cut short, empty, damaged letters, refusals, answers of mixed form.

Each finding is one function from examples to a warning, or None. Nothing is changed here.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from freehold.core.errors import Problem
from freehold.core.snapshot import Example
from freehold.data.detect import closed_labels
from freehold.data.findings import answer_of, counted, place, warning

LEAST_CUT_LENGTH = 100
LEAST_CUT_ROWS = 5
NEIGHBOURS = 20
TIMES_THE_NEIGHBOURS = 10
LEAST_EDGE = 10
EDGE_SHARE = 0.9
LEAST_ROWS = 20
SHORT_ANSWER_WORDS = 12
REFUSAL_WITHIN = 200

_SAYS_NOTHING = frozenset(
    {"n/a", "na", "nan", "null", "none", "nil", "tbd", "todo", "undefined", "unknown", "test", "[]"}
) | frozenset({"{}", "[deleted]", "[removed]", "#n/a", "lorem ipsum", "xxx", "empty", "[redacted]"})
_CUT_MARK = re.compile(
    r"(?:\[(?:truncated|cut|\.\.\.)\]|<truncated>|\(truncated\)|…|\.\.\.)\s*$", re.I
)
_TWICE_ENCODED = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]{1,3}")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|apos|#\d{2,5}|#x[0-9a-f]{2,4});", re.I)
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|(?<=\w)\\n(?=\w|\\n|\s)")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REFUSAL = re.compile(
    r"\b(?:i(?:'|’)?m sorry,? (?:but )?(?:i|as)\b|i am sorry,? but|i apologi[sz]e,? but"
    r"|i (?:can(?:no|'|’)t|am (?:not able|unable)|(?:'|’)m (?:not able|unable)|won(?:'|’)t be able)"
    r" (?:to )?(?:help|assist|provide|answer|fulfil|comply|do that|create|generate|write|engage|discuss|"
    r"continue|share|support|complete|process|respond|access|offer)"
    r"|as an? (?:ai|artificial intelligence|large language model|language model)\b"
    r"|i (?:do not|don(?:'|’)t) have (?:access to|the ability|personal)"
    r"|(?:it|that) (?:is|would be)(?: not|n(?:'|’)t) appropriate (?:for me )?to"
    r"|i must (?:decline|refuse)|i(?:'|’)m just an? (?:ai|language model))",
    re.I,
)
_FENCE = re.compile(r"^\s*```.*```\s*$", re.S)
_QUOTED = re.compile(r'^\s*(?:".*"|“.*”|\'.*\'|`[^`].*`)\s*$', re.S)
_LABELLED = re.compile(r"^\s*(?:answer|output|response|label|assistant|a)\s*:\s", re.I)

Texts: TypeAlias = Sequence[tuple[Example, str]]


def look_at_texts(examples: Sequence[Example]) -> tuple[Problem, ...]:
    """Return every finding about the texts of these examples, the gravest first."""
    found = (
        cut_texts(examples),
        unfinished_json(examples),
        texts_that_say_nothing(examples),
        damaged_letters(examples),
        refusals(examples),
        mixed_answers(examples),
        *constant_edges(examples),
    )
    return tuple(problem for problem in found if problem is not None)


# Cut short, or empty -------------------------------------------------------------------------


def cut_texts(examples: Sequence[Example]) -> Problem | None:
    """Find texts that were cut at one common length, or end in a mark of a cut.

    A length is a cut if the longest texts have it exactly, and at least five of them and ten times as
    many as have any of the 20 lengths below it on average. Repeats of one text count once.
    """
    for what, texts in (("answer", _answers(examples)), ("input", _inputs(examples))):
        at, cut = _common_end(texts)
        if cut:
            return warning(
                "DAT-060",
                f"{counted(len(cut), what)} {_is(cut)} exactly {at:,} characters long, which is the "
                f"longest there is: they were cut, such as {place(cut[0])}",
                help="export the data again without a limit on its columns",
                at=cut[0],
            )
    marked = [e for e, text in _answers(examples) if _CUT_MARK.search(text) and len(text) >= 40]
    if len(marked) < max(2, 0.005 * len(examples)):
        return None
    return warning(
        "DAT-060",
        f"{counted(len(marked), 'answer')} {'ends' if len(marked) == 1 else 'end'} in dots or in a mark "
        f"of a cut, such as {place(marked[0])}",
        help="a model learns to stop there too; write them to their end, or leave the rows out",
        at=marked[0],
    )


def _common_end(texts: Texts) -> tuple[int, list[Example]]:
    distinct = {text: example for example, text in texts}
    lengths = Counter(len(text) for text in distinct)
    longest = max(lengths, default=0)
    rows = lengths[longest]
    below = sum(lengths[longest - step] for step in range(1, NEIGHBOURS + 1)) / NEIGHBOURS
    if longest < LEAST_CUT_LENGTH or rows < max(LEAST_CUT_ROWS, TIMES_THE_NEIGHBOURS * below):
        return longest, []
    return longest, [example for text, example in distinct.items() if len(text) == longest]


def unfinished_json(examples: Sequence[Example]) -> Problem | None:
    """Find answers that begin as JSON and end before their brackets do."""
    broken = [
        e
        for e, text in _answers(examples)
        if isinstance(e.target, str) and text.lstrip()[:1] in ("{", "[") and _ends_early(text)
    ]
    if not broken:
        return None
    return warning(
        "DAT-060",
        f"{counted(len(broken), 'answer')} {_begins(broken)} as JSON and {_end(broken)} before its "
        f"brackets are closed, such as {place(broken[0])}",
        help="export these rows again; a model that learns them writes JSON that nothing can read",
        at=broken[0],
    )


def _ends_early(text: str) -> bool:
    text = text.strip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        opened = text[0] == "{" and len(text) > 1 and text[1:].lstrip()[:1] in ('"', "}")
        is_list = (
            text[0] == "[" and len(text) > 1 and text[1:].lstrip()[:1] in tuple('"{[-0123456789')
        )
        at_the_end = error.pos >= len(text) or error.msg.startswith("Unterminated string")
        return (opened or is_list) and at_the_end
    except RecursionError:
        return False
    return False


def texts_that_say_nothing(examples: Sequence[Example]) -> Problem | None:
    """Find inputs, and answers of free text, that hold a place and no words: `n/a`, `null`, `---`."""
    has_labels = bool(closed_labels([example.target for example in examples]))
    answers = () if has_labels else _answers(examples)
    empty = [e for e, text in _inputs(examples) if _says_nothing(text)]
    blank = [e for e, text in answers if _says_nothing(text) and not _is_number(text)]
    found = empty or blank
    if not found:
        return None
    what = "input" if empty else "answer"
    text = (found[0].input if empty else answer_of(found[0])).strip()
    return warning(
        "DAT-060",
        f"{counted(len(found), what)} {'says' if len(found) == 1 else 'say'} nothing: `{text[:40]}` in "
        f"{place(found[0])}",
        help="fill these rows in, or leave them out: freehold data clean",
        at=found[0],
    )


def _says_nothing(text: str) -> bool:
    plain = " ".join(text.split()).casefold().strip(".")
    return plain in _SAYS_NOTHING or not any(c.isalnum() or _is_picture(c) for c in plain)


def _is_picture(character: str) -> bool:
    return character >= "\u2190"


def _is_number(text: str) -> bool:
    return any(c.isdigit() for c in text)


# Letters -------------------------------------------------------------------------------------


def damaged_letters(examples: Sequence[Example]) -> Problem | None:
    """Find signs of a wrong encoding: `Ã©`, `â€™`, `\ufffd`, HTML entities, written escapes.

    A pair of letters that could be a twice-encoded one counts if it decodes as UTF-8.
    """
    found: dict[str, list[Example]] = {}
    shown: dict[str, str] = {}
    for example in examples:
        texts = (example.input, example.context or "", answer_of(example))
        for kind, sign in _damage("\n".join(texts)).items():
            found.setdefault(kind, []).append(example)
            shown.setdefault(kind, sign)
    if not found:
        return None
    rows = {example.id for some in found.values() for example in some}
    kinds = sorted(found, key=lambda kind: (-len(found[kind]), kind))
    parts = ", ".join(f"{kind} in {len(found[kind]):,} (`{shown[kind]}`)" for kind in kinds)
    first = found[kinds[0]][0]
    return warning(
        "DAT-061",
        f"{counted(len(rows))} {'shows' if len(rows) == 1 else 'show'} damaged letters: {parts}; the first is {place(first)}",
        help="read the original again as what it is (often Windows-1252 or HTML), and save it as UTF-8",
        at=first,
    )


def _damage(text: str) -> dict[str, str]:
    signs: dict[str, str] = {}
    for kind, pattern in (
        ("lost letters", re.compile("\ufffd")),
        ("HTML entities", _ENTITY),
        ("written escapes", _ESCAPE),
        ("control characters", _CONTROL),
    ):
        match = pattern.search(text)
        if match:
            signs[kind] = (
                match.group().encode("unicode_escape").decode()
                if kind == "control characters"
                else match.group()
            )
    if not text.isascii():
        twice = next(
            (m.group() for m in _TWICE_ENCODED.finditer(text) if _decodes(m.group())), None
        )
        if twice is not None:
            signs["letters encoded twice"] = twice
    return signs


def _decodes(pair: str) -> bool:
    """Tell whether the bytes behind these letters are one UTF-8 character."""
    for end in range(2, len(pair) + 1):
        for encoding in ("cp1252", "latin-1"):
            try:
                if len(pair[:end].encode(encoding).decode("utf-8")) == 1:
                    return True
            except UnicodeError:
                continue
    return False


# Answers -------------------------------------------------------------------------------------


def refusals(examples: Sequence[Example]) -> Problem | None:
    """Find answers that refuse ("I'm sorry, but I cannot ..."), which a model would learn.

    Only the first 200 characters of answers of more than three words are looked at, in English.
    """
    refused = [
        e
        for e, text in _answers(examples)
        if len(text.split()) > 3 and _REFUSAL.search(text[:REFUSAL_WITHIN])
    ]
    if not refused:
        return None
    share = 100 * len(refused) / len(examples)
    return warning(
        "DAT-062",
        f"{counted(len(refused), 'answer')} ({share:.1f} %) {'refuses' if len(refused) == 1 else 'refuse'}, "
        f"such as {place(refused[0])}: `{_beginning(answer_of(refused[0]))}`",
        help="keep them where refusing is right, else leave them out: a model learns to refuse from few",
        at=refused[0],
    )


def mixed_answers(examples: Sequence[Example]) -> Problem | None:
    """Find answers that are written in another form than the others.

    Forms: JSON, a code fence, quotes, a heading such as `Answer:`, and for short answers a final full
    stop. Lists and paragraphs beside each other are no finding.
    """
    if len(examples) < LEAST_ROWS:
        return None
    forms: dict[str, list[Example]] = {}
    for example, text in _answers(examples):
        forms.setdefault(_form(text, is_value=not isinstance(example.target, str)), []).append(
            example
        )
    if len(forms) < 2:
        return None
    main, *others = sorted(forms, key=lambda form: (-len(forms[form]), form))
    parts = ", ".join(f"{len(forms[form]):,} {form}" for form in others)
    first = forms[others[0]][0]
    rows = sum(len(forms[form]) for form in others)
    return warning(
        "DAT-063",
        f"{len(forms[main]):,} answers are {main}, but {rows:,} {'is' if rows == 1 else 'are'} not: {parts}, "
        f"such as {place(first)}",
        help="write all answers in one form; a model learns the mixture, and a metric counts it as wrong",
        at=first,
    )


def _form(text: str, *, is_value: bool) -> str:
    if is_value or _is_json(text):
        return "JSON"
    if _FENCE.match(text):
        return "in a code fence"
    if _LABELLED.match(text):
        return "behind a heading"
    if _QUOTED.match(text) and len(text.strip()) > 2:
        return "in quotes"
    return "plain"


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def constant_edges(examples: Sequence[Example]) -> tuple[Problem | None, ...]:
    """Find words that nine of ten inputs, or nine of ten answers, begin or end with."""
    has_labels = bool(closed_labels([example.target for example in examples]))
    kinds: list[tuple[str, list[str]]] = [("inputs", [e.input for e in examples])]
    if not has_labels:
        kinds.append(("answers", [e.target for e in examples if isinstance(e.target, str)]))
    found: list[Problem | None] = []
    for what, texts in kinds:
        for verb, edge in (("begin", common_beginning(texts)), ("end", _common_ending(texts))):
            found.append(_edge(what, verb, edge, texts=texts) if edge else None)
    return tuple(found)


def _edge(what: str, verb: str, edge: str, *, texts: Sequence[str]) -> Problem:
    has = str.startswith if verb == "begin" else str.endswith
    rows = sum(has(text, edge) for text in texts)
    shown = edge if len(edge) <= 60 else edge[:59] + "…"
    return warning(
        "DAT-063",
        f"{rows:,} of {len(texts):,} {what} {verb} with the same words: `{' '.join(shown.split())}`",
        help="they tell rows from nothing: move them into `instruction`"
        if what == "inputs"
        else "a model spends its answer on them; leave them out where nobody reads them",
    )


def common_beginning(texts: Iterable[str], *, share: float = EDGE_SHARE) -> str:
    """Return the longest beginning, in whole words, that `share` of different texts have.

    Empty text where it has fewer than ten characters, or there are fewer than 20 texts. In sorted
    order, texts with one beginning are neighbours, so the ends of a window tell what all of it shares.
    """
    ordered = sorted(set(texts))
    window = math.ceil(share * len(ordered))
    if len(ordered) < LEAST_ROWS:
        return ""
    pairs = zip(ordered, ordered[window - 1 :], strict=False)
    best = max((_shared(first, last) for first, last in pairs), key=len, default="")
    whole = best[: max(best.rfind(" "), best.rfind("\n"), best.rfind(":")) + 1]
    return whole if len(whole.strip()) >= LEAST_EDGE else ""


def _common_ending(texts: Sequence[str]) -> str:
    return common_beginning(text[::-1] for text in texts)[::-1]


def _shared(first: str, second: str) -> str:
    length = min(len(first), len(second))
    for place_, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return first[:place_]
    return first[:length]


# Small things --------------------------------------------------------------------------------


def _inputs(examples: Sequence[Example]) -> Texts:
    return [(example, example.input) for example in examples]


def _answers(examples: Sequence[Example]) -> Texts:
    return [(example, answer_of(example)) for example in examples]


def _beginning(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 60 else plain[:59] + "…"


def _is(found: Sequence[Example]) -> str:
    return "is" if len(found) == 1 else "are"


def _begins(found: Sequence[Example]) -> str:
    return "begins" if len(found) == 1 else "begin"


def _end(found: Sequence[Example]) -> str:
    return "ends" if len(found) == 1 else "end"
