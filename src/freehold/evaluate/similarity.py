"""How alike two values are, in [0, 1]: pure functions behind the scorers, each with its source."""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORDS = re.compile(r"[^\W_]+")
_CHRF_ORDER = 6
_CHRF_BETA = 2


def plain_text(text: str) -> str:
    """Return `text` in Unicode's composed form (NFC) without surrounding white space."""
    return unicodedata.normalize("NFC", text).strip()


def same_value(first: JsonValue, second: JsonValue) -> bool:
    """Return whether two JSON values are equal.

    Text is compared by `plain_text`, numbers by value (1 equals 1.0), truth values only with truth
    values, objects whatever the order of their keys.
    """
    return _canonical(first) == _canonical(second)


def _canonical(value: JsonValue) -> str:
    """Return a text that is the same for values that count as equal."""
    return json.dumps(_normal(value), sort_keys=True, ensure_ascii=False)


def _normal(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {plain_text(key): _normal(item) for key, item in value.items()}
    return value


def f1(shared: float, answered: float, wanted: float) -> float:
    """Return the harmonic mean of shared / answered and shared / wanted; 0 for nothing shared."""
    return 2.0 * shared / (answered + wanted) if shared else 0.0


def token_f1(answer: str, target: str) -> float:
    """Return the F1 over words of SQuAD: bags of lower-case words, no punctuation or articles.

    Where either side has no word left, it is 1 if both have none, else 0. Source: Rajpurkar et al.
    (2016), SQuAD, section 6.1, and the evaluation script of SQuAD 2.0.
    """
    answered, wanted = _squad_words(answer), _squad_words(target)
    if not answered or not wanted:
        return float(answered == wanted)
    shared = sum((Counter(answered) & Counter(wanted)).values())
    return f1(shared, len(answered), len(wanted))


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def rouge_l(answer: str, target: str) -> float:
    """Return ROUGE-L's F1: the longest common subsequence of words, without stemming.

    Words are runs of letters and digits of any script, lower-cased. On ASCII text this equals the
    package rouge-score; on other text that package drops every letter outside a to z, this does
    not. Source: Lin (2004), ROUGE, section 3.1, with beta = 1.
    """
    answered, wanted = _WORDS.findall(answer.lower()), _WORDS.findall(target.lower())
    return f1(_common_subsequence(answered, wanted), len(answered), len(wanted))


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel: one addition of a whole row per word. Source: Hyyrö (2004), Bit-parallel
    LCS-length computation revisited, AWOCA.
    """
    places: dict[str, int] = {}
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(first) - row.bit_count()


def chrf(answer: str, target: str) -> float:
    """Return the sentence chrF2: F-beta (beta 2) over character n-grams of 1 to 6, spaces left out.

    Precision and recall are averaged over the orders that both texts reach, as sacrebleu does with
    its default settings (divided by 100). Source: Popović (2015), chrF, WMT.
    """
    answered, wanted = "".join(answer.split()), "".join(target.split())
    orders = min(_CHRF_ORDER, len(answered), len(wanted))
    if orders == 0:
        return 0.0
    precision = recall = 0.0
    for order in range(1, orders + 1):
        said, sought = _ngrams(answered, order), _ngrams(wanted, order)
        shared = sum((said & sought).values())
        precision += shared / (len(answered) - order + 1)
        recall += shared / (len(wanted) - order + 1)
    if precision + recall == 0.0:
        return 0.0
    # Divided after the sum, so that a perfect match is exactly 1.
    precision, recall = precision / orders, recall / orders
    factor = _CHRF_BETA**2
    return min(1.0, (1 + factor) * precision * recall / (factor * precision + recall))


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))


def field_score(
    answer: JsonValue, target: JsonValue, *, weights: Mapping[str, float] | None
) -> float:
    """Return the weighted mean over the fields of an object, in [0, 1].

        score = sum_f w_f s_f / sum_f w_f

    f runs over the fields of `weights` that either side has; without weights, over every field that
    either side has, at weight 1, so that an invented field costs. s_f is 1 where both sides are
    equal (`same_value`), and 0 where they differ or one side lacks the field; where either side is
    an object or an array, it is the F1 over pairs of a path and a value: 2 shared / (pairs of the
    answer + pairs of the target). A pair is a scalar at the path of its keys, or one whole item of
    an array at the path of the array (order is not counted, repetition is).

    For a target {intent, slots}: (1 if the intents are equal else 0) / 2 + F1(slots) / 2, and two
    empty `slots` are equal. Two sides without any counted field score 1 if equal, else 0; an answer
    that is no object while the target is one scores 0, and two values that are no objects score 1
    if equal, else 0.
    """
    if not isinstance(answer, dict) or not isinstance(target, dict):
        return float(same_value(answer, target))
    if weights is None:
        weights = dict.fromkeys((*target, *answer), 1.0)
    counted = {name: w for name, w in weights.items() if name in answer or name in target}
    if not counted:
        return float(same_value(answer, target))
    gained = sum(
        weight * _one_field(answer[name], target[name])
        for name, weight in counted.items()
        if name in answer and name in target
    )
    return min(1.0, gained / sum(counted.values()))


def _one_field(answer: JsonValue, target: JsonValue) -> float:
    if same_value(answer, target):
        return 1.0
    if not isinstance(answer, dict | list) and not isinstance(target, dict | list):
        return 0.0
    said, sought = Counter(_pairs(answer, ())), Counter(_pairs(target, ()))
    return f1(sum((said & sought).values()), said.total(), sought.total())


def _pairs(value: JsonValue, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _pairs(item, (*path, plain_text(key)))
    elif isinstance(value, list):
        # The closing mark keeps an array of one item apart from that item alone.
        yield from (((*path, "[]"), _canonical(item)) for item in value)
    else:
        yield path, _canonical(value)
