"""What rungs did with documents, on every surface: the same words and numbers."""

import jsonschema
from tests.report import sample

from freehold.core.measure import Citation, Climb, DocumentFigures, Estimate
from freehold.report.compare import OneAnswer, eval_one_table
from freehold.report.contract import CLIMB_SCHEMA, climb_json
from freehold.report.documents import citation_text, figures_json, figures_table, figures_text
from freehold.report.html import climb_html

FIGURES = DocumentFigures(
    k=3,
    recall=Estimate(mean=0.95, low=0.91, high=0.97, n=200, method="wilson"),
    unsupported=Estimate(mean=0.04, low=0.02, high=0.07, n=190, method="bootstrap"),
    claims=240,
)
CITED = Citation(
    number=1, passage="fees#2", by="written", share=1.0, is_supported=True, quote="Two days."
)


def with_documents() -> Climb:
    climb = sample.climb()
    rungs = tuple(
        rung.model_copy(update={"documents": FIGURES}) if rung.rung == "retrieve" else rung
        for rung in climb.rungs
    )
    return climb.model_copy(update={"rungs": rungs})


def test_figures_are_one_line_a_table_and_json_that_fits_the_schema() -> None:
    assert figures_text(FIGURES) == "recall@3 0.950 [.910 .970] · unsupported 0.040 [.020 .070]"
    value = climb_json(with_documents(), sample.task(), climb_id="c12", report_path=None)
    jsonschema.validate(value, dict(CLIMB_SCHEMA))
    rungs = value["rungs"]
    assert isinstance(rungs, list)
    found = [rung["documents"] for rung in rungs if isinstance(rung, dict) and "documents" in rung]
    assert found == [figures_json(FIGURES)]
    assert figures_json(FIGURES)["ndcg"] is None
    table = figures_table(with_documents())
    assert "recall@3" in table
    assert "share of all claims that no passage supports" in table
    assert figures_table(sample.climb()) == ""


def test_a_citation_says_who_wrote_it_and_whether_it_holds() -> None:
    assert citation_text(CITED) == '[1] fees#2, written: "Two days."'
    weak = CITED.model_copy(update={"share": 0.25, "is_supported": False, "quote": ""})
    assert (
        citation_text(weak) == "[1] fees#2, written, and only 25 % of the claim's words are there"
    )
    assert citation_text(CITED.model_copy(update={"by": "attributed"})).startswith(
        "[1] fees#2, attributed"
    )
    absent = Citation(number=9, by="written")
    assert citation_text(absent) == "[9] written, and no such passage was shown"


def test_one_answer_shows_its_citations_below_it() -> None:
    answer = OneAnswer(
        rung="retrieve", state="answered", value="Two days", raw="Two days", citations=(CITED,)
    )
    lines = eval_one_table([answer]).splitlines()
    assert lines[2].strip() == '[1] fees#2, written: "Two days."'


def test_the_page_shows_the_figures_and_the_citations_of_its_examples() -> None:
    view = sample.view()
    first = view.examples[0]
    answers = tuple(one.model_copy(update={"citations": (CITED,)}) for one in first.answers)
    shown = view.model_copy(
        update={
            "climb": with_documents(),
            "examples": (first.model_copy(update={"answers": answers}), *view.examples[1:]),
        }
    )
    page = climb_html(shown)
    assert "What was done with the documents" in page
    assert "fees#2, written" in page
    assert "What was done with the documents" not in climb_html(view)
