from __future__ import annotations

import pytest

from freehold.core.snapshot import Example
from freehold.data.languages import Detector, detector, language_of, languages, stray_languages

ENGLISH = "I have been waiting for my new bank card for more than a week now"
FINNISH = "Olen odottanut uutta pankkikorttiani jo yli viikon, eikä se ole tullut"


@pytest.fixture(scope="module")
def detect() -> Detector:
    return detector()


def test_long_texts_are_told_and_short_ones_are_not_guessed(detect: Detector) -> None:
    assert language_of(ENGLISH, detect) == "en"
    assert language_of(FINNISH, detect) == "fi"
    assert language_of("ok", detect) == "unclear"
    assert language_of("1234 5678 9012 3456 7890", detect) == "unclear"
    found = languages([ENGLISH, ENGLISH, FINNISH, "ok"], detect)
    assert (found.rows, found.unclear, found.main) == ({"en": 2, "fi": 1}, 1, "en")
    assert languages([], detect).main is None


def test_a_few_rows_of_another_language_are_named_and_a_mixture_is_not(detect: Detector) -> None:
    def rows(english: int, finnish: int) -> list[Example]:
        texts = [ENGLISH] * english + [FINNISH] * finnish
        return [
            Example(id=str(n), input=t, target="a", source="x", row=n + 1)
            for n, t in enumerate(texts)
        ]

    problem = stray_languages(rows(50, 4), detect)
    assert problem is not None and problem.code == "DAT-064"
    assert "(fi 4)" in problem.message and problem.where is not None and problem.where.row == 51
    assert stray_languages(rows(50, 1), detect) is None
    assert stray_languages(rows(30, 30), detect) is None
