"""The page and the drawings of a training: what they say, how large they are, what a browser does with them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.report import sample, training_sample
from tests.report.chromium import browse
from tests.report.test_browser import pixels, requests_of

from freehold.core.measure import Estimate
from freehold.report.frontier import frontier
from freehold.report.heatmap import heat_map, points_words
from freehold.report.page import POLICY
from freehold.report.training_curves import training_curves
from freehold.report.training_page import (
    MOST_BYTES,
    compute_words,
    headline,
    kept_verdict,
    training_html,
)
from freehold.report.training_view import At, Compute, Forgotten, TrainingCurves, TrainingView

SVG = "{http://www.w3.org/2000/svg}"


def words_of(document: str) -> str:
    """The text of a page as a reader would copy it."""
    pieces: list[str] = []

    class Reader(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.hidden += tag in {"style", "title", "desc"}

        def handle_endtag(self, tag: str) -> None:
            self.hidden -= tag in {"style", "title", "desc"}

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                pieces.append(data)

    Reader().feed(document)
    return " ".join(" ".join(pieces).split())


def marks(svg: str, name: str) -> ElementTree.Element:
    """The group of a drawing with this stable id."""
    found = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("data-testid") == name]
    assert len(found) == 1
    return found[0]


def test_the_page_says_what_was_reached_why_it_stopped_and_what_was_chosen() -> None:
    words = words_of(training_html(training_sample.view()))
    assert "lora reaches 0.867 [.795 .916] n=120 on dev" in words
    assert "keeps 0.986 [.978 .994] of general ability" in words
    assert "the dev metric stopped rising, at step 436" in words
    assert "s=0.7: the largest gain" in words
    assert "9 probes answered right by the base and wrong now; 2 shown" in words
    assert "What is 17 + 25?" in words
    assert "learning rate 1.1e-4" in words
    assert "peak memory 1.4 GB" in words


def test_a_page_loads_nothing_and_only_a_running_one_is_read_again() -> None:
    finished, running = (
        training_html(v) for v in (training_sample.view(), training_sample.running())
    )
    assert POLICY.replace("'", "&#x27;") in finished
    assert 'http-equiv="refresh"' in running
    assert 'http-equiv="refresh"' not in finished
    assert "t7 is training: step 436 of 909" in words_of(running)
    for document in (finished, running):
        assert "<script" not in document
        assert not re.search(r"(src|href)=\"(?!#)", document)


def test_kept_ability_is_told_against_its_bar_by_its_bounds() -> None:
    def role(low: float, high: float) -> str:
        middle = (low + high) / 2
        view = training_sample.view()
        return kept_verdict(view.model_copy(update={"kept": sample.kept(middle, low, high)}))[0]

    assert role(0.971, 0.99) == "pass"
    assert role(0.95, 0.969) == "fail"
    assert role(0.96, 0.98) == "undecided"
    assert kept_verdict(training_sample.running())[0] == "muted"


def test_a_page_that_would_be_too_large_says_how_much_it_left_out() -> None:
    long = tuple(
        Forgotten(
            family=f"family {n % 20}", prompt="p" * 9_000, before="b" * 9_000, after="a" * 9_000
        )
        for n in range(400)
    )
    view = training_sample.view().model_copy(
        update={"forgotten": long, "forgotten_count": len(long)}
    )
    document = training_html(view)
    assert len(document.encode()) < MOST_BYTES
    assert "400 probes answered right by the base and wrong now; 200 shown" in words_of(document)
    assert "more characters)" in document


def test_names_and_answers_cannot_become_markup() -> None:
    bad = "</style><script>alert(1)</script>\u202e"
    view = training_sample.view().model_copy(
        update={
            "task": bad,
            "metric": bad,
            "stopped": bad,
            "forgotten": (Forgotten(family=bad, prompt=bad, before=bad, after=bad),),
            "recipe": ((bad, bad),),
            "notes": (bad,),
        }
    )
    document = training_html(view)
    assert "<script" not in document
    assert "\u202e" not in document
    assert "⟨U+202E⟩" in document


def test_compute_is_the_rule_and_its_share_of_the_base() -> None:
    compute = Compute(parameters=1_000, tokens=500, operations=1e6, base_operations=6e7)
    assert compute.rule == 3_000_000
    assert compute.share_of_base == pytest.approx(0.05)
    assert compute_words(compute) == "6·N·D = 3e+06 operations, 5 % of the base's"
    unknown = Compute(parameters=1_000, tokens=500, operations=1e6)
    assert unknown.share_of_base is None
    view = training_sample.view().model_copy(update={"compute": unknown})
    assert "not known: its maker's tokens are not on record" in words_of(training_html(view))


def test_the_chosen_scale_is_starred_and_the_whole_update_is_hollow() -> None:
    drawn = frontier(training_sample.frontier())
    assert "★ s=0.7" in drawn
    whole = marks(drawn, "frontier-point-1").find(f"{SVG}circle")
    chosen = marks(drawn, "frontier-point-0.7").find(f"{SVG}circle")
    assert whole is not None and chosen is not None
    assert "hollow" in (whole.get("class") or "")
    assert "m-fail" in (whole.get("class") or "")
    assert "m-accent" in (chosen.get("class") or "")


def test_more_loss_stands_lower_and_more_quality_further_right() -> None:
    drawn = frontier(training_sample.frontier())

    def spot(scale: str) -> tuple[float, float]:
        circle = marks(drawn, f"frontier-point-{scale}").find(f"{SVG}circle")
        assert circle is not None
        return float(circle.get("cx") or 0), float(circle.get("cy") or 0)

    assert spot("0")[0] < spot("0.5")[0] < spot("0.9")[0]
    assert spot("0.5")[1] < spot("0.9")[1] < spot("1.1")[1]
    zone = re.search(r'class="forbidden"[^>]* y="([\d.]+)"', drawn)
    assert zone is not None
    assert spot("0.8")[1] < float(zone.group(1)) < spot("0.9")[1]


def test_every_cell_of_the_heat_map_has_its_number_and_interval() -> None:
    drawn = heat_map(training_sample.matrix(), training_sample.transfer())
    assert "".join(marks(drawn, "cell-1-snips").itertext()).endswith("0.910[.860 .950]")
    framed = [
        g.get("data-testid")
        for g in ElementTree.fromstring(drawn).iter(f"{SVG}g")
        if any(r.get("class") == "framed" for r in g.iter(f"{SVG}rect"))
    ]
    assert framed == ["cell-1-snips", "cell-2-banking77", "cell-3-pubmedqa"]
    assert points_words(training_sample.transfer().backward) == "-1.8 [-3.4 -0.2]"
    assert points_words(None) == "–"


def test_better_cells_are_darker() -> None:
    drawn = heat_map(training_sample.matrix(), training_sample.transfer())

    def strength(name: str) -> float:
        rect = marks(drawn, name).find(f"{SVG}rect")
        assert rect is not None
        return float(rect.get("fill-opacity") or 0)

    assert strength("cell-0-banking77") < strength("cell-0-snips") < strength("cell-1-snips")


def test_panels_without_a_measurement_are_left_out() -> None:
    loss = TrainingCurves(steps=10, loss=(At(step=1, value=2.0),))
    drawn = training_curves(loss, metric="exact_match", kept_bar=0.97)
    assert "panel-loss" in drawn
    assert "panel-kept ability" not in drawn
    assert "panel-weight of replay" not in drawn
    assert "★" not in drawn


def test_an_axis_reaches_to_the_last_planned_step() -> None:
    half = TrainingCurves(
        steps=100, loss=tuple(At(step=s, value=1.0 / s) for s in range(1, 51)), best_step=25
    )
    drawn = training_curves(half, metric="exact_match", kept_bar=0.97, width=1000)
    line = next(e for e in ElementTree.fromstring(drawn).iter(f"{SVG}polyline") if e.get("points"))
    last_x = float((line.get("points") or "").split()[-1].split(",")[0])
    assert last_x == pytest.approx((56 + 978) / 2, abs=0.1)


def test_a_headline_without_kept_ability_promises_none() -> None:
    nothing = sample.kept(0.9, 0.8, 1.0).model_copy(
        update={"ratio": Estimate(mean=None, low=0.0, high=1.0, n=0)}
    )
    for kept in (None, nothing):
        view = training_sample.view().model_copy(update={"kept": kept})
        assert headline(view) == "lora reaches 0.867 [.795 .916] n=120 on dev"
        told = (
            "kept ability was not measured" if kept is None else "the base answers no probe right"
        )
        assert told in words_of(training_html(view))


@pytest.mark.parametrize("view", [training_sample.third(), training_sample.running()])
def test_a_browser_shows_the_page_with_scripts_off_and_asks_for_nothing(
    view: TrainingView, tmp_path: Path
) -> None:
    file, shot, log = (tmp_path / name for name in ("page.html", "shot.png", "net.json"))
    file.write_text(training_html(view), encoding="utf-8")
    browse(
        file,
        "--window-size=1000,1400",
        f"--screenshot={shot}",
        f"--log-net-log={log}",
        scripts=False,
    )
    assert len(set(pixels(shot.read_bytes()))) > 60
    assert requests_of(log) == set()


def test_nothing_of_the_page_is_wider_than_a_phone_or_a_screen(tmp_path: Path) -> None:
    script = """<script>document.body.textContent = 'FOUND' + JSON.stringify(
      [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre') &&
      e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right >
      document.documentElement.clientWidth + 1).map(e => e.tagName)) + 'END';</script>"""
    content = re.sub("<meta http-equiv[^>]+>", "", training_html(training_sample.third()))
    file = tmp_path / "measured.html"
    file.write_text(content.replace("</body>", script + "</body>"), encoding="utf-8")
    for size in ("500,900", "1100,900"):
        found = re.search("FOUND(.*)END", browse(file, "--dump-dom", f"--window-size={size}"))
        assert found is not None
        assert json.loads(found.group(1)) == []
