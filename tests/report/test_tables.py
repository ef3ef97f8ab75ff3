import csv
import io
import math
from xml.etree import ElementTree

from tests.report import sample

from freehold.core.measure import RungResult, Verdict
from freehold.report.markdown import climb_markdown, escape_markdown
from freehold.report.tables import CSV_COLUMNS, climb_csv, climb_junit, climb_lm_eval


def test_the_csv_reads_back_with_full_precision_and_empty_unknowns() -> None:
    rows = list(csv.DictReader(io.StringIO(climb_csv(sample.climb()))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 9
    distil = next(row for row in rows if row["rung"] == "distil")
    assert (float(distil["quality_mean"]), distil["recommended"]) == (0.855, "yes")
    prefer = next(row for row in rows if row["rung"] == "prefer")
    assert prefer["quality_mean"] == "" and prefer["reason"].startswith("lora's errors")


def test_the_junit_file_counts_what_it_holds() -> None:
    text = climb_junit(sample.climb(), sample.task(), climb_id="c12")
    suite = ElementTree.fromstring(text.encode())
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == "9"
    assert suite.get("failures") == str(len(suite.findall("*/failure"))) == "6"
    assert suite.get("skipped") == str(len(suite.findall("*/skipped"))) == "1"
    assert suite.get("errors") == "0"


def test_an_undecided_rung_is_skipped_in_junit_and_says_what_would_settle_it() -> None:
    lora = sample.rung(
        "lora",
        sample.estimate(0.82, 0.78, 0.86),
        None,
        per_1k=1.0,
        p95=0.4,
        verdict=Verdict.UNDECIDED,
    ).model_copy(update={"need_more": 825, "reason": None})
    broken = RungResult(rung="full", state="failed", reason="bad\x00weights", verdict=Verdict.ERROR)
    climb = sample.climb().model_copy(update={"rungs": (lora, broken), "recommended": None})
    suite = ElementTree.fromstring(climb_junit(climb, sample.task(), climb_id="c1").encode())
    skipped = suite.find("testcase/skipped")
    error = suite.find("testcase/error")
    assert skipped is not None and error is not None
    assert skipped.get("message") == "UNDECIDED: need ≈ 825 more examples"
    assert error.get("message") == "bad⟨U+0000⟩weights"


def test_the_lm_eval_table_has_one_row_a_measured_rung() -> None:
    rows = climb_lm_eval(sample.climb(), sample.task()).splitlines()
    assert [cell.strip() for cell in rows[0].strip("|").split("|")] == [
        "Tasks",
        "Version",
        "Filter",
        "n-shot",
        "Metric",
        "",
        "Value",
        "",
        "Stderr",
    ]
    assert len(rows) == 2 + 8
    assert len({len(row) for row in rows}) == 1
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells[2] == "baseline"
    assert float(cells[6]) == 0.645
    assert float(cells[8]) == round(math.sqrt(0.645 * 0.355 / 399), 4)


def test_n_shot_comes_from_the_variant_and_an_unknown_error_is_not_made_up() -> None:
    few = sample.climb().rung("few_shot")
    quality = few.quality
    assert quality is not None
    bounded = quality.model_copy(update={"method": "betting"})
    few = few.model_copy(update={"variant": "k=8, diverse", "quality": bounded})
    climb = sample.climb().model_copy(update={"rungs": (few,), "recommended": None})
    cells = [c.strip() for c in climb_lm_eval(climb, sample.task()).splitlines()[2].split("|")]
    assert (cells[4], cells[9]) == ("8", "N/A")


def test_the_markdown_says_what_the_terminal_says() -> None:
    text = climb_markdown(sample.climb(), sample.task(), climb_id="c12")
    assert "**★ distil is the cheapest rung that meets the bar" in text
    table = [row for row in text.splitlines() if row.startswith("|")]
    assert len(table) == 2 + 9
    assert {row.replace("\\|", "").count("|") for row in table} == {9}
    assert "★ PASS" in table[9]
    assert "58 wrong of distil: confused 49 (billing↔refunds 21)" in text


def test_markdown_cannot_be_broken_by_a_name() -> None:
    hostile = "a|b\n# <script>*x*</script> [y](z) &amp; `c`"
    climb = sample.climb().model_copy(update={"task": hostile, "notes": ()})
    rows = climb_markdown(climb, sample.task(), climb_id="c12").splitlines()
    assert rows[0] == f"## {escape_markdown(hostile)} – climb c12"
    assert "\\<script\\>" in rows[0] and "a\\|b \\# " in rows[0] and "\\&amp;" in rows[0]
