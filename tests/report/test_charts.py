import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import sample
from tests.report.charts import all_charts, charts
from tests.report.chromium import browse

from freehold.core.measure import Verdict
from freehold.report.curve import MOST_POINTS, Curves, Series, curve
from freehold.report.forest import forest
from freehold.report.scatter import scatter
from freehold.report.svg import Scale, fit, share_domain, standalone, text_width, ticks, wrap_text
from freehold.report.theme import CAUSE_FILLS, DARK, LIGHT, ON_FILL

GOLDEN = Path(__file__).parent / "golden"
CHARTS = all_charts()
SVG = "{http://www.w3.org/2000/svg}"

# Two texts in one place, one of them half outside: the measuring script must report both faults.
CONTROL = """
<div id="control"><svg width="200" height="40"><text x="5" y="20">one</text>
<text x="8" y="20">two</text><text x="190" y="38">beyond</text></svg></div>
"""

MEASURE = """
<script>
const found = {};
for (const svg of document.querySelectorAll('svg')) {
  const whole = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.lastChild.textContent,
    t.getBoundingClientRect()]);
  const bad = [];
  for (const [words, b] of boxes)
    if (b.left < whole.left - 1 || b.right > whole.right + 1 || b.top < whole.top - 1 ||
        b.bottom > whole.bottom + 1) bad.push('cut off: ' + words);
  for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
    const a = boxes[i][1], b = boxes[j][1];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 4) bad.push(boxes[i][0] + ' over ' + boxes[j][0]);
  }
  found[svg.parentElement.id] = [boxes.length, bad];
}
document.body.textContent = 'FOUND' + JSON.stringify(found) + 'END';
</script>
"""


@pytest.mark.parametrize("name", sorted(CHARTS))
def test_a_chart_is_well_formed_and_says_in_words_what_it_shows(name: str) -> None:
    root = ElementTree.fromstring(CHARTS[name])
    assert root.tag == f"{SVG}svg"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None
    assert (title.text or "").strip() and (description.text or "").strip()
    labelled = (root.get("aria-labelledby") or "").split()
    assert labelled == [title.get("id"), description.get("id")]
    assert root.get("role") == "img" and root.get("data-testid")


@pytest.mark.parametrize("name", sorted(n for n in CHARTS if n.startswith("drawn")))
def test_a_chart_is_the_golden_one(name: str) -> None:
    # Look at a change first, then write the goldens anew: python -m tests.report.golden
    assert standalone(CHARTS[name]) == (GOLDEN / f"{name}.svg").read_text(encoding="utf-8")


def test_in_a_browser_no_text_of_any_chart_overlaps_or_is_cut_off(tmp_path: Path) -> None:
    bodies = [f"<div id='{name}'>{standalone(svg)}</div>" for name, svg in CHARTS.items()]
    page = tmp_path / "charts.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><body>{CONTROL}{''.join(bodies)}{MEASURE}",
        encoding="utf-8",
    )
    dumped = browse(page, "--dump-dom", "--window-size=1000,1000")
    found = re.search("FOUND(.*)END", dumped, re.DOTALL)
    assert found is not None
    measured: dict[str, tuple[int, list[str]]] = json.loads(found.group(1).replace("&gt;", ">"))
    assert measured.pop("control") == [3, ["cut off: beyond", "two over one"]]
    assert measured.keys() == CHARTS.keys()
    assert all(count > 3 for count, _ in measured.values())
    assert {name: bad for name, (_, bad) in measured.items() if bad} == {}


def test_the_forest_marks_the_recommended_rung_and_gives_skipped_ones_a_reason() -> None:
    drawn = forest(sample.climb(), sample.task().bar)
    root = ElementTree.fromstring(drawn)
    rows = {g.get("data-testid"): "".join(g.itertext()) for g in root.iter(f"{SVG}g")}
    assert "★ PASS" in rows["forest-row-distil"]
    assert "skipped: lora's errors gave 61 pairs" in rows["forest-row-prefer"]
    assert "✗ FAIL kept" in rows["forest-row-full"]
    assert "0.855 [.817 .886]" in rows["forest-row-distil"]
    assert drawn.count("bar-line") == 1


def test_a_mark_stands_where_its_value_is() -> None:
    root = ElementTree.fromstring(forest(sample.climb(), sample.task().bar))
    means = {
        g.get("data-testid", ""): float(circle.get("cx", "nan"))
        for g in root.iter(f"{SVG}g")
        for circle in g.findall(f"{SVG}circle")
    }
    order = sorted(means, key=lambda name: means[name])
    wanted = sorted(
        (r for r in sample.climb().rungs if r.quality and r.quality.mean),
        key=lambda r: (r.quality and r.quality.mean) or 0.0,
    )
    assert order == [f"forest-row-{r.rung}" for r in wanted]


def test_a_scatter_without_spread_or_with_a_free_rung_is_drawn() -> None:
    free = sample.rung("baseline", sample.estimate(0.7, 0.65, 0.75), None, per_1k=0.0, p95=0.1)
    climb = sample.climb().model_copy(update={"rungs": (free,), "recommended": None})
    root = ElementTree.fromstring(scatter(climb, sample.task().bar))
    assert len(list(root.iter(f"{SVG}circle"))) == 1


def test_every_status_colour_stands_beside_its_glyph() -> None:
    verdicts = {
        Verdict.PASS: "✓ PASS",
        Verdict.FAIL: "✗ FAIL",
        Verdict.UNDECIDED: "? UNDECIDED",
    }
    for verdict, words in verdicts.items():
        result = sample.rung(
            "lora", sample.estimate(0.8, 0.75, 0.85), None, per_1k=1.0, p95=0.4, verdict=verdict
        )
        climb = sample.climb().model_copy(update={"rungs": (result,), "recommended": None})
        assert words in forest(climb, sample.task().bar)


def test_long_series_are_thinned_and_keep_their_ends_in_place() -> None:
    points = tuple((float(i), i / 10_000) for i in range(10_000))
    curves = Curves(
        title="t", x_label="x", y_label="y", series=(Series(name="loss", points=points),)
    )
    drawn = curve(curves)
    line = ElementTree.fromstring(drawn).find(f".//{SVG}polyline")
    assert line is not None
    assert len((line.get("points") or "").split()) <= MOST_POINTS
    assert len(drawn) < 20_000


def test_a_curve_of_one_point_and_of_equal_values_is_drawn() -> None:
    series = (
        Series(name="a", points=((3.0, 0.5),)),
        Series(name="b", points=((3.0, 0.5),), dashed=True),
    )
    curves = Curves(title="t", x_label="x", y_label="y", series=series, best_x=3.0)
    ElementTree.fromstring(curve(curves, width=340))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_a_contrast_of_four_and_a_half_on_every_ground(theme: dict[str, str]) -> None:
    texts = ("text", "muted", "accent", "pass-text", "undecided-text", "fail-text")
    grounds = ("page", "card", "zone", "accent-soft")
    low = {
        (text, ground): round(contrast(theme[text], theme[ground]), 2)
        for text, ground in itertools.product(texts, grounds)
        if contrast(theme[text], theme[ground]) < 4.5
    }
    assert low == {}
    assert all(contrast(theme["text"], theme[g]) >= 4.5 for g in ("added", "removed"))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_have_a_contrast_of_three_on_the_card(theme: dict[str, str]) -> None:
    # Orange on white reaches 2.2 only: an UNDECIDED is carried by its glyph and its dark text.
    for mark in ("pass", "fail", "accent", "neutral"):
        assert contrast(theme[mark], theme["card"]) >= 3.0, mark


def test_words_on_a_bar_have_a_contrast_of_four_and_a_half() -> None:
    assert all(contrast(ON_FILL, fill) >= 4.5 for fill in CAUSE_FILLS.values())


@given(st.text(max_size=80), st.floats(20, 400))
def test_a_text_that_was_fitted_fits(text: str, width: float) -> None:
    shown = fit(text, width)
    assert text_width(shown) <= width or shown == "…"


@given(st.text(alphabet="ab ", max_size=200), st.floats(40, 400))
def test_wrapped_lines_fit_and_lose_no_word_unless_cut(text: str, width: float) -> None:
    lines = wrap_text(text, width, most=3)
    assert 1 <= len(lines) <= 3
    assert all(text_width(line) <= width for line in lines)
    if not any("…" in line for line in lines):
        assert " ".join(lines).split() == text.split()


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_rising_and_inside(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert list(found) == sorted(set(found))
    assert len(found) <= most + 1
    slack = span * 1e-6 + 1e-9
    assert all(low - slack <= value <= low + span + slack for value in found)


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_domain_of_shares_holds_every_value(values: list[float]) -> None:
    low, high = share_domain(values)
    assert 0 <= low < high <= 1
    assert all(low <= value <= high for value in values)
    scale = Scale(low, high, 10, 500)
    assert [scale.at(v) for v in sorted(values)] == sorted(scale.at(v) for v in values)


def test_two_drawings_of_one_climb_are_equal() -> None:
    assert charts(sample.climb(), prefix="a") == charts(sample.climb(), prefix="a")
