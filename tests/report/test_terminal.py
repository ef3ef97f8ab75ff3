import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report import sample

from freehold.core.measure import Climb, Estimate, RungResult, Verdict
from freehold.report.lines import Look, Span, clean, line, render, to_ascii
from freehold.report.terminal import climb_table, closing

# The drawing of experience.md 6.3. Its $1.95 is $1.96 here: 58:40 at $2.00 an hour.
DRAWN = """\
c12 done in 58:40 · $1.96             test n=400, 0 failed · intervals 95 % · bar ≥ 0.80
   rung        quality              Δ vs previous        $/1k    p95  kept≥  verdict
 0 baseline    0.645 [.597 .690]    –                    0.01  0.01s      –  ✗ FAIL
 1 zero_shot   0.615 [.566 .661]  ≈ -.030 [-.077 +.017]  0.90  0.42s  1.000  ✗ FAIL
 2 few_shot    0.690 [.643 .733]    +.075 [+.043 +.107]  1.60  0.55s  1.000  ✗ FAIL
 3 structured  0.705 [.659 .748]  ≈ +.015 [-.012 +.042]  1.50  0.51s  1.000  ✗ FAIL
 4 retrieve    0.745 [.700 .785]    +.040 [+.011 +.069]  3.10  0.93s  1.000  ✗ FAIL
 5 lora        0.870 [.834 .900]    +.125 [+.088 +.162]  1.00  0.44s  0.978  ✓ PASS
 6 prefer      – skipped: lora's errors gave 61 pairs, 200 needed; add data.preferences
 7 distil      0.855 [.817 .886]  ≈ -.015 [-.036 +.006]  0.31  0.12s  0.974  ★ PASS
 8 full        0.885 [.850 .913]    +.030 [+.007 +.053]  1.00  0.44s  0.886  ✗ FAIL kept
★ distil is the cheapest rung that meets the bar: .817 ≥ 0.80, kept .974 ≥ 0.97
  vs lora      1.5 points lower [-3.6 +0.6] p=.24, 69 % cheaper a request, 3.7× faster
  volume       200k/month for 6 months: distil $376, lora $1,204; break-even at 320
  audit        scored once on 200 unseen rows: 0.860 [.805 .901], agrees
  58 wrong     confused 49 (billing↔refunds 21) · unstable 5 · format 4
  weak slice   language=fi 0.706 [.538 .832] n=34"""


def table(climb: Climb, **options: object) -> str:
    return climb_table(climb, sample.task(), climb_id="c12", **options)  # pyright: ignore[reportArgumentType]


def undecided(*, low: float, need_more: int | None, reason: str | None = None) -> Climb:
    lora = sample.rung(
        "lora",
        sample.estimate(0.85, low, 0.9),
        None,
        per_1k=1.0,
        p95=0.4,
        verdict=Verdict.UNDECIDED,
    ).model_copy(update={"need_more": need_more, "reason": reason})
    skipped = RungResult(rung="retrieve", state="skipped", reason="stop", verdict=Verdict.SKIPPED)
    return sample.climb().model_copy(
        update={"rungs": (lora, skipped), "recommended": None, "why": (), "audit": None}
    )


def test_the_finished_climb_is_the_drawing() -> None:
    assert table(sample.climb()) == DRAWN


def test_the_last_lines_name_the_report_and_the_next_command() -> None:
    text = closing(
        "reports/c12.html",
        212_345,
        compare="freehold report c12 --against @prod",
        following="freehold release check c12/distil",
        look=Look(),
    )
    assert text.splitlines()[0].startswith("Report   reports/c12.html (212 kB)")
    assert text.splitlines()[0].endswith("Compare  freehold report c12 --against @prod")
    assert text.splitlines()[1] == "next     freehold release check c12/distil"


@given(st.integers(48, 140))
def test_a_narrow_terminal_drops_columns_but_never_the_interval(width: int) -> None:
    text = table(sample.climb(), width=width)
    assert max(len(row) for row in text.splitlines()) <= width
    for result in sample.climb().rungs:
        if result.quality is not None:
            row = next(r for r in text.splitlines() if f" {result.rung} " in r)
            assert re.search(r"0\.\d{3} \[\.\d{3} \.\d{3}\]", row)
            assert re.search(r"[✗✓★] (FAIL|PASS)", row)


def test_columns_are_dropped_in_their_order() -> None:
    def headings(width: int) -> str:
        return table(sample.climb(), width=width).splitlines()[1]

    assert "p95" in headings(88) and "p95" not in headings(80)
    wide = table(sample.climb(), width=60)
    assert "$/1k" in wide and "kept≥" in wide and "Δ" not in wide


def test_in_ascii_every_symbol_has_a_stand_in_and_the_columns_stay() -> None:
    text = table(sample.climb(), ascii=True)
    assert text.isascii()
    assert "* PASS" in text and "v PASS" in text and "x FAIL" in text and "~ -.030" in text
    rows = text.splitlines()
    assert rows[1].index("verdict") == rows[2].index("x FAIL")


def test_colour_only_repeats_what_the_text_says() -> None:
    coloured = table(sample.climb(), color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == DRAWN


def test_an_undecided_row_says_how_many_more_examples_would_settle_it() -> None:
    text = table(undecided(low=0.78, need_more=825))
    assert "? UNDECIDED" in text
    assert "need ≈ 825 more examples" in text


def test_an_undecided_row_that_clears_the_bar_says_that_rungs_are_judged_together() -> None:
    assert "(1 rung judged together" in table(undecided(low=0.81, need_more=None))


def test_the_reason_of_an_undecided_stands_when_nothing_would_settle_it() -> None:
    reason = "cannot be settled with any practical number"
    assert reason in table(undecided(low=0.79, need_more=None, reason=reason), width=120)


def test_without_a_pass_details_name_the_rung_they_are_of() -> None:
    text = table(undecided(low=0.78, need_more=825))
    assert "of lora: confused 90" in text
    assert "★" not in text


def test_a_climb_with_nothing_measured_is_still_drawn() -> None:
    failed = RungResult(rung="lora", state="failed", reason="out of memory", verdict=Verdict.ERROR)
    climb = undecided(low=0.7, need_more=None).model_copy(update={"rungs": (failed,)})
    assert "! failed: out of memory" in table(climb)


def test_small_costs_keep_their_digits_and_the_table_its_width() -> None:
    cheap = sample.rung("lora", sample.estimate(0.9, 0.85, 0.95), None, per_1k=0.00046, p95=0.0004)
    climb = sample.climb().model_copy(update={"rungs": (cheap,), "recommended": None})
    text = table(climb)
    assert "0.00046" in text and "0.4ms" in text
    assert max(len(row) for row in text.splitlines()) <= 88


def test_a_slice_too_small_to_judge_is_called_so_where_no_other_exists() -> None:
    result = sample.rung("lora", sample.estimate(0.9, 0.85, 0.95), None, per_1k=1.0, p95=0.4)
    few = {"product=gift_card": Estimate(mean=0.5, low=0.3, high=0.7, n=22, method="wilson")}
    climb = sample.climb().model_copy(
        update={"rungs": (result.model_copy(update={"slices": few}),), "recommended": None}
    )
    assert "too few to judge" in table(climb)


@pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "a\u202eb", "two\nlines", "\x9b31m"])
def test_a_reason_cannot_drive_the_terminal(hostile: str) -> None:
    skipped = RungResult(rung="lora", state="skipped", reason=hostile, verdict=Verdict.SKIPPED)
    climb = sample.climb().model_copy(
        update={"rungs": (skipped,), "recommended": None, "why": (), "audit": None}
    )
    text = table(climb)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert len(text.splitlines()) == 3


@given(st.text())
def test_cleaned_text_is_one_line_and_ascii_text_is_ascii(text: str) -> None:
    assert len(clean(text).splitlines()) <= 1
    assert to_ascii(text).isascii()


def test_trailing_spaces_are_not_printed() -> None:
    assert render([line("a  ", Span("   ", "muted"))], Look(color=True)) == "a"
