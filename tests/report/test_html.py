import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import sample
from tests.report.reader import read

from freehold.core.measure import RungResult, Verdict
from freehold.core.task import TextOutput
from freehold.report.examples import Limits, prompts_part
from freehold.report.html import MOST_BYTES, climb_html
from freehold.report.markup import Markup, element, escape, join, shorten, visible
from freehold.report.view import (
    MOST_EXAMPLES,
    ExampleRow,
    ReportView,
    RungAnswer,
    RungPrompt,
    build_view,
)

PAGE = climb_html(sample.view())
READ = read(PAGE)
SMALL = sample.view(test=4)
HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></details><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "\u202eevil\u202c \u2066x\u2069",
    "👩‍👩‍👧 🏳️‍🌈 é",
    "x" * 1_000,
    "a\x00b\x1b[31m\ud800",
    "]]></style><!-- --><?php",
    "&lt;&amp;&#x3c;",
)


def small(**changes: object) -> ReportView:
    """A view with one example, one rung and one prompt, to put hostile text into."""
    row = ExampleRow(
        example_id="ex-1",
        kind="broken",
        input="in",
        wanted="out",
        answers=(RungAnswer(rung="distil", value="v", raw="r", score=0.0, cause="confused"),),
    )
    view = SMALL.model_copy(update={"examples": (row,), "prompts": (), "curves": ()})
    return view.model_copy(update=changes)


def test_the_page_is_one_file_that_loads_and_runs_nothing() -> None:
    reader = READ
    assert reader.faults == []
    tags = {node.tag for node in reader.nodes}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img", "form", "base"})
    for node in reader.nodes:
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith("#")
    policies = [n.attributes.get("content") for n in reader.nodes if "http-equiv" in n.attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert "url(" not in PAGE and "@import" not in PAGE
    assert set(re.findall(r"https?://[^\"'<> ]+", PAGE)) == {"http://www.w3.org/2000/svg"}


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    nodes = READ.nodes
    ids = [n.attributes["id"] for n in nodes if "id" in n.attributes]
    assert len(ids) == len(set(ids))
    for node in nodes:
        for name in ("aria-labelledby", "href"):
            for target in (node.attributes.get(name) or "").replace("#", "").split():
                assert target in ids


def test_the_picture_and_the_recommendation_come_first() -> None:
    places = [
        PAGE.index(text)
        for text in (
            'data-testid="answer"',
            'data-testid="forest"',
            'data-testid="climb-table"',
            'data-testid="scatter"',
            'data-testid="differences"',
            'data-testid="causes"',
            'data-testid="slices"',
            'data-testid="kept-0"',
            'data-testid="examples-broken"',
            'data-testid="prompt-zero_shot"',
            'data-testid="cost-table"',
            'data-testid="sources"',
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "wanted",
    [
        "distil is the cheapest rung that meets the bar: .817 ≥ 0.80, kept .974 ≥ 0.97",
        "scored once on 200 unseen rows: 0.860 [.805 .901], agrees",
        "skipped: lora's errors gave 61 pairs, 200 needed; add data.preferences",
        "≈ -.015 [-.036 +.006]",
        "✗ FAIL kept",
        "$2.00 a machine-hour, utilisation 60 %",
        "4 rows: no assistant turn",
        "61 exact, 204 near",
        "test 3, audit 1",
        "split 7, probes 11",
        "torch 2.13.0",
        sample.snapshot().digest,
        "freehold report c12",
        "Three verdicts.",
    ],
)
def test_the_page_says_what_a_reader_needs(wanted: str) -> None:
    assert wanted in READ.nodes[0].text


def test_ten_thousand_examples_stay_under_a_megabyte_and_say_what_is_missing() -> None:
    view = sample.view(test=10_000, tail=" 🙂<&>" * 60, rungs=2)
    page = climb_html(view)
    assert len(page.encode()) < MOST_BYTES
    assert len(view.examples) == MOST_EXAMPLES
    text = read(page).nodes[0].text
    shown = len(re.findall('data-testid="example-', page)) - page.count('"example-answers"')
    left_out = re.search(r"([\d,]+) more were left out", text)
    assert left_out is not None
    total = view.examples_left_out + len(view.examples)
    assert int(left_out.group(1).replace(",", "")) == total - shown


def test_the_longest_hostile_view_stays_under_a_megabyte() -> None:
    wide = "<&\"'" * 25_000
    answers = tuple(
        RungAnswer(rung=f"rung{i}", value=wide, raw=wide + "!", score=0.5) for i in range(9)
    )
    rows = tuple(
        ExampleRow(
            example_id=f"{i}", kind="fixed", input=wide, wanted=wide, context=wide, answers=answers
        )
        for i in range(200)
    )
    prompts = tuple(RungPrompt(rung=f"rung{i}", example_id="1", text=wide) for i in range(9))
    page = climb_html(small(examples=rows, prompts=prompts))
    assert len(page.encode()) < MOST_BYTES
    assert "more characters" in page


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text_wherever_it_comes_from(hostile: str) -> None:
    base = sample.climb()
    rung = base.rungs[0].model_copy(
        update={
            "rung": hostile,
            "causes": {hostile: 3},
            "confusions": ((hostile, "b", 2),),
            "slices": {hostile: sample.estimate(0.5, 0.4, 0.6, n=40)},
            "variant": hostile,
        }
    )
    skipped = RungResult(rung="s", state="skipped", reason=hostile, verdict=Verdict.SKIPPED)
    climb = base.model_copy(
        update={
            "task": hostile,
            "rungs": (rung, skipped),
            "recommended": hostile,
            "why": (hostile, f"vs x: {hostile}"),
            "notes": (hostile,),
            "versions": {hostile: hostile},
        }
    )
    row = ExampleRow(
        example_id=hostile,
        kind="failed",
        input=hostile,
        wanted={"a": hostile},
        context=hostile,
        answers=(RungAnswer(rung=hostile, value=hostile, raw=hostile + " ", score=None),),
    )
    prompt = RungPrompt(rung=hostile, example_id=hostile, text=hostile)
    view = small(climb=climb, examples=(row,), prompts=(prompt,), compared_with=hostile)
    page = climb_html(view)
    reader = read(page)
    assert reader.faults == []
    assert {node.tag for node in reader.nodes} <= {node.tag for node in READ.nodes}
    for node in reader.nodes:
        assert not any(name.startswith("on") or name == "src" for name in node.attributes)
    assert not re.search("[\x00\x1b\u202e\u2066\ud800]", page)
    page.encode("utf-8")


def test_a_hundred_thousand_characters_on_one_line_are_shortened_with_a_count() -> None:
    row = small().examples[0].model_copy(update={"input": "y" * 100_000})
    page = climb_html(small(examples=(row,)))
    assert "(98,800 more characters)" in page
    assert len(page) < 200_000


@given(st.text())
def test_a_prompt_is_given_back_byte_for_byte_by_the_reader(text: str) -> None:
    prompt = RungPrompt(rung="lora", example_id="ex-1", text=text)
    page = prompts_part([prompt], Limits())
    pre = next(n for n in read(page).nodes if n.attributes.get("data-testid") == "prompt-lora")
    assert pre.text.removeprefix("\n") == "\r".join(visible(part) for part in text.split("\r"))


@given(st.text(), st.text())
def test_escaped_text_and_attributes_read_back_as_they_were(text: str, attribute: str) -> None:
    reader = read(element("p", {"title": attribute}, text))
    assert [node.tag for node in reader.nodes] == ["p"]
    assert reader.nodes[0].text == visible(text)
    assert reader.nodes[0].attributes["title"] == visible(attribute)


@given(st.text(), st.integers(0, 50))
def test_shortened_text_says_how_much_is_missing(text: str, limit: int) -> None:
    shown = shorten(text, limit)
    if len(text) <= limit:
        assert shown == text
    else:
        assert shown.startswith(text[:limit])
        assert f"({len(text) - limit:,} more characters)" in shown


def test_markup_is_not_escaped_twice_and_bad_names_are_refused() -> None:
    assert join([Markup("<b>"), "<"], "&") == "<b>&amp;&lt;"
    assert escape(escape("<")) == "&lt;"
    with pytest.raises(ValueError, match="no name"):
        element("p onclick=x")
    with pytest.raises(ValueError, match="no name"):
        element("p", {"a b": "x"})


def test_free_text_answers_show_the_difference_word_by_word() -> None:
    task = sample.task().model_copy(update={"output": TextOutput()})
    row = ExampleRow(
        example_id="ex-1",
        kind="broken",
        input="how?",
        wanted="pay by card",
        answers=(
            RungAnswer(rung="distil", value="pay in cash", raw="pay in cash", score=0.2),
            RungAnswer(rung="few_shot", value="pay by car", raw="pay by car", score=0.4),
        ),
    )
    page = climb_html(small(task=task, examples=(row,)))
    assert "<del>by</del>" in page and "<ins>in</ins>" in page
    assert "wanted → distil" in page and "wanted → few_shot" not in page


def test_a_climb_without_a_recommendation_has_no_star_and_says_what_to_do() -> None:
    climb = sample.climb().model_copy(
        update={"recommended": None, "audit": None, "why": ("No rung meets the bar", "labels: add")}
    )
    text = climb_html(small(climb=climb))
    assert "No rung meets the bar" in text
    assert "★ PASS" not in text


def test_a_climb_with_nothing_measured_has_a_page() -> None:
    skipped = RungResult(rung="lora", state="skipped", reason="no model", verdict=Verdict.SKIPPED)
    climb = sample.climb().model_copy(
        update={"rungs": (skipped,), "recommended": None, "why": (), "audit": None}
    )
    page = climb_html(small(climb=climb, examples=(), compared_with=None))
    assert read(page).faults == []
    assert "Nothing was measured." in page


def test_a_test_split_used_for_many_decisions_is_warned_of() -> None:
    climb = sample.climb().model_copy(update={"looks": {"test": 25, "audit": 1}})
    assert "used for many decisions" in climb_html(small(climb=climb))
    assert "used for many decisions" not in PAGE


@settings(max_examples=8)
@given(st.text(max_size=40))
def test_the_page_of_any_name_is_well_formed(name: str) -> None:
    climb = sample.climb().model_copy(update={"task": name, "why": (name,)})
    assert read(climb_html(small(climb=climb))).faults == []


def test_the_view_sorts_examples_into_kinds_against_the_next_lower_rung() -> None:
    view = sample.view()
    assert view.compared_with == "lora"
    for row in view.examples:
        scores = {answer.rung: answer.score for answer in row.answers}
        if row.kind == "broken":
            assert (scores["lora"], scores["distil"]) == (1.0, 0.0)
        if row.kind == "fixed":
            assert (scores["lora"], scores["distil"]) == (0.0, 1.0)
        if row.kind == "failed":
            assert None in scores.values() and scores["lora"] == scores["distil"]
    kinds = [row.kind for row in view.examples]
    assert kinds == sorted(kinds, key=("broken", "fixed", "failed", "disagree").index)


def test_a_view_without_runs_holds_no_examples() -> None:
    view = build_view(
        sample.climb(), sample.task(), climb_id="c1", snapshot=sample.snapshot(5), runs={}
    )
    assert view.examples == () and view.examples_left_out == 0
    assert ReportView.from_json(view.model_dump_json()) == view
