from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from freehold.core.snapshot import Example
from freehold.data import texts
from freehold.data.texts import common_beginning, look_at_texts


def rows(pairs: Sequence[tuple[str, object]]) -> list[Example]:
    return [
        Example.model_validate(
            {"id": f"r{n}", "input": text, "target": target, "source": "x.jsonl", "row": n}
        )
        for n, (text, target) in enumerate(pairs, 1)
    ]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = [
        "the",
        "card",
        "did",
        "not",
        "arrive",
        "while",
        "my",
        "order",
        "was",
        "paid",
        "twice",
        "and",
        "nobody",
        "answers",
    ]
    return [" ".join(rng.choices(words, k=rng.randrange(6, 40))) + "." for _ in range(count)]


def clean() -> list[Example]:
    return rows(list(zip(sentences(60), sentences(60, seed=1), strict=True)))


def test_clean_texts_give_no_finding() -> None:
    assert look_at_texts(clean()) == ()
    assert look_at_texts([]) == ()


def test_answers_cut_at_one_length_are_named() -> None:
    long = [
        (text, (answer * 9)[:500])
        for text, answer in zip(sentences(30), sentences(30, 2), strict=True)
    ]
    problem = texts.cut_texts([*clean(), *rows(long)])
    assert problem is not None and problem.code == "DAT-060"
    assert "exactly 500 characters long" in problem.message


def test_answers_that_end_in_dots_are_named() -> None:
    problem = texts.cut_texts(
        [*clean(), *rows([(f"q{n}", f"a long answer {n} " * 5 + "...") for n in range(5)])]
    )
    assert problem is not None and "mark of a cut" in problem.message


@pytest.mark.parametrize("answer", ['{"a": 1, "b": "te', '[{"a": 1}, ', '{"a": {"b": 2}'])
def test_json_that_ends_early_is_named_and_brackets_in_prose_are_not(answer: str) -> None:
    problem = texts.unfinished_json([*clean(), *rows([("q", answer)])])
    assert problem is not None and problem.where is not None and problem.where.row == 1
    assert texts.unfinished_json(rows([("q", "[sic] he wrote"), ("q", "{curly} words")])) is None


def test_fields_that_say_nothing_are_named_but_not_a_label_of_that_name() -> None:
    problem = texts.texts_that_say_nothing([*clean(), *rows([(" N/A ", "words")])])
    assert problem is not None and "`N/A`" in problem.message
    labelled = rows([(text, ("none", "some")[n % 2]) for n, text in enumerate(sentences(30))])
    assert texts.texts_that_say_nothing(labelled) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("le caf\u00c3\u00a9 est ferm\u00c3\u00a9", "letters encoded twice"),
        ("don\u00e2\u20ac\u2122t do it", "letters encoded twice"),
        ("lost \ufffd letters", "lost letters"),
        ("salt &amp; pepper &#39;", "HTML entities"),
        (r"caf\u00e9 closed", "written escapes"),
        ("bell \x07", "control characters"),
    ],
)
def test_damaged_letters_are_found_by_kind(text: str, kind: str) -> None:
    problem = texts.damaged_letters([*clean(), *rows([(text, "fine")])])
    assert problem is not None and problem.code == "DAT-061"
    assert kind in problem.message


@pytest.mark.parametrize(
    "text",
    ["Äpfel für Öl, café, naïve", "Ωμέγα", "日本語のテキスト", "C:\\new\\path", "R&D", "â bientôt"],
)
def test_right_letters_of_other_languages_are_no_damage(text: str) -> None:
    assert texts.damaged_letters(rows([(text, "fine")])) is None


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I cannot help with that request.",
        "I\u2019m sorry, I can't assist with this.",
        "As an AI language model, I have no opinions on that.",
        "Unfortunately I am unable to provide medical advice here.",
    ],
)
def test_refusals_among_the_answers_are_found(answer: str) -> None:
    problem = texts.refusals([*clean(), *rows([("q", answer)])])
    assert problem is not None and problem.code == "DAT-062" and "1.6 %" in problem.message


@pytest.mark.parametrize(
    "answer", ["I'm sorry that your card is late; we send a new one.", "You cannot help it."]
)
def test_an_apology_is_no_refusal(answer: str) -> None:
    assert texts.refusals(rows([("q", answer)])) is None


def test_answers_of_another_form_are_named() -> None:
    fenced = [("q", "```\nprint(1)\n```"), ("q", '"quoted"'), ("q", "Answer: yes it is")]
    problem = texts.mixed_answers([*clean(), *rows(fenced)])
    assert problem is not None and problem.code == "DAT-063"
    for form in ("1 in a code fence", "1 in quotes", "1 behind a heading"):
        assert form in problem.message


def test_words_that_all_texts_share_are_named() -> None:
    wrapped = rows(
        [
            (f"Customer wrote the following: {text}", f"{answer} Kind regards, the team")
            for text, answer in zip(sentences(40), sentences(40, 3), strict=True)
        ]
    )
    found = [problem.message for problem in look_at_texts(wrapped)]
    assert any("40 of 40 inputs begin" in m and "Customer wrote the following:" in m for m in found)
    assert any("answers end with" in m and "Kind regards, the team" in m for m in found)


def test_a_common_beginning_is_whole_words_of_nine_in_ten_texts() -> None:
    shared = [f"please answer: {n} {n}" for n in range(90)]
    assert common_beginning([*shared, *(f"other {n}" for n in range(10))]) == "please answer: "
    assert common_beginning([*shared, *(f"other {n}" for n in range(20))]) == ""
    assert common_beginning(shared[:10]) == ""
