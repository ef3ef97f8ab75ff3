"""What if the bar, the volume or the prices were others: judged again as a climb would judge, with nothing asked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.ladder.tasks import at_noon, colour_rows, truth

from freehold.core.errors import ConfigError, UsageError
from freehold.core.measure import Climb, Run, Verdict
from freehold.core.message import Message
from freehold.core.taskfile import parse_task_file
from freehold.evaluate.scorers import Scorer, scorer
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.tools import Models
from freehold.ladder.view import report_view
from freehold.ladder.what_if import WhatIf, what_if, what_if_table
from freehold.models.scripted import ScriptedModel
from freehold.report import numbers
from freehold.report.html import climb_html
from freehold.report.what_if_view import LETTERS
from freehold.store.store import Store

RUNGS = "rungs: [baseline, zero_shot, structured], baseline: {try: [nearest]}, structured: {k: [0]}"


class Ticks:
    """A clock that moves on by a hundredth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def often_right(messages: Sequence[Message]) -> str:
    """The right colour, but for one question in eight."""
    question = messages[-1].content
    return "red" if question.endswith(("7)", "3)")) else truth(messages)


def prepared(root: Path, *, bar: float = 0.5, ladder: str = RUNGS, more: str = "") -> Prepared:
    data = root / "colours.jsonl"
    if not data.exists():
        data.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(400)))
    text = (
        f"task: colours\ndata: {{examples: colours.jsonl, split: {{test: 120, dev: 20, audit: 60}}}}\n"
        f"bar: {{quality: {bar}}}\nladder: {{{ladder}}}\n{more}"
    )
    return prepare(parse_task_file(text), root=root)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("what-if")


@pytest.fixture(scope="module")
def outcome(root: Path) -> ClimbOutcome:
    return climbed(root, prepared(root))


def climbed(root: Path, task: Prepared) -> ClimbOutcome:
    models = Models(cache=Path("nowhere"), open_base=lambda _spec: ScriptedModel(often_right))
    with Store.open(root, clock=at_noon) as store:
        return climb(task, store=store, models=models, clock=Ticks())


def runs_of(root: Path, found: Climb) -> dict[str, Run]:
    with Store.open(root, clock=at_noon) as store:
        return {r.rung: store.get(r.run_digest, Run) for r in found.rungs if r.run_digest}


def scorer_of(outcome: ClimbOutcome) -> Scorer:
    return scorer(outcome.task.metric, outcome.task.output, root=Path())


def asked(root: Path, outcome: ClimbOutcome, **settings: float) -> WhatIf:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return what_if(outcome, named, runs=runs_of(root, outcome.climb), scorer=scorer_of(outcome))


def test_what_changes_nothing_says_what_the_climb_said(outcome: ClimbOutcome, root: Path) -> None:
    found = asked(root, outcome, bar__quality=0.5)
    assert found.changes == ()
    assert found.outcome.climb.rungs == outcome.climb.rungs
    assert found.outcome.climb.recommended == outcome.climb.recommended
    assert found.outcome.climb.audit == outcome.climb.audit
    assert found.outcome.climb.why[: len(outcome.climb.why)] == outcome.climb.why


@pytest.mark.parametrize("bar", [0.3, 0.8, 0.85, 0.9, 0.99])
def test_another_bar_gives_the_verdicts_of_a_climb_with_that_bar(
    outcome: ClimbOutcome, root: Path, bar: float
) -> None:
    found = asked(root, outcome, bar__quality=bar).outcome.climb
    there = climbed(root, prepared(root, bar=bar)).climb
    before_audit = [r for r in there.rungs if there.audit is None or r.rung != there.audit.rung]
    for rung in before_audit:
        again = found.rung(rung.rung)
        assert (again.verdict, again.reason, again.need_more, again.quality) == (
            (rung.verdict, rung.reason, rung.need_more, rung.quality)
        )


def test_other_prices_and_volumes_give_the_costs_of_a_climb_with_them(
    outcome: ClimbOutcome, root: Path
) -> None:
    more = "prices: {dollars_per_machine_hour: 4}\nvolume: {requests_per_month: 5000000, horizon_months: 2}\n"
    settings = {
        "prices.dollars_per_machine_hour": 4,
        "volume.requests_per_month": 5_000_000,
        "volume.horizon_months": 2,
    }
    runs, judge = runs_of(root, outcome.climb), scorer_of(outcome)
    found = what_if(outcome, settings, runs=runs, scorer=judge).outcome.climb
    there = climbed(root, prepared(root, more=more)).climb
    for rung in found.rungs:
        other = there.rung(rung.rung)
        assert rung.cost is not None and other.cost is not None
        assert rung.cost.seconds_per_request == other.cost.seconds_per_request
        expected = 4 / 3600 * rung.cost.build_seconds + 2 * (
            (5_000_000 + 120) * rung.cost.dollars_per_1k / 1000
        )
        assert rung.cost.total_dollars == pytest.approx(expected)


def test_a_rung_that_was_not_audited_is_not_said_to_be(outcome: ClimbOutcome, root: Path) -> None:
    recommended = outcome.climb.recommended
    assert recommended is not None and outcome.climb.audit is not None
    # A ceiling on the price of a request below that of the recommended rung leaves the others.
    costs = {r.rung: r.cost.dollars_per_1k for r in outcome.climb.rungs if r.cost}
    cheapest = min(costs, key=lambda rung: costs[rung])
    found = asked(root, outcome, bar__dollars_per_1k=costs[cheapest] * 1.0001)
    if found.outcome.climb.recommended == recommended:
        found = asked(root, outcome, bar__seconds_p95=1e-9)
        assert found.outcome.climb.recommended is None
    else:
        assert found.outcome.climb.audit is None
        assert any(line.startswith("audit: ") for line in found.outcome.climb.why)
        assert found.climb_command.startswith("freehold climb -s bar.dollars_per_1k=")


def test_a_bar_that_the_audit_rows_contradict_recommends_nothing(
    outcome: ClimbOutcome, root: Path
) -> None:
    audit = outcome.climb.audit
    assert audit is not None
    poor = audit.model_copy(
        update={
            "estimate": audit.estimate.model_copy(update={"mean": 0.3, "low": 0.2, "high": 0.4})
        }
    )
    told = ClimbOutcome(
        outcome.climb.model_copy(update={"audit": poor}),
        outcome.climb_id,
        outcome.task,
        outcome.snapshot,
    )
    found = asked(root, told, bar__quality=0.45).outcome.climb
    assert found.recommended is None
    assert found.rung(audit.rung).verdict is Verdict.UNDECIDED
    assert "contradicts" in found.why[0]
    lower = asked(root, told, bar__quality=0.35).outcome.climb
    assert lower.recommended == audit.rung


def test_settings_that_need_the_models_are_refused_with_the_way_out(outcome: ClimbOutcome) -> None:
    with pytest.raises(UsageError) as caught:
        what_if(outcome, {"ladder.stop": "first_pass"}, runs={}, scorer=scorer_of(outcome))
    assert caught.value.problems[0].code == "USE-010"
    assert caught.value.problems[0].help.startswith("freehold climb -s ladder.stop=first_pass")
    for key in ("bar.confidence", "model"):
        with pytest.raises(UsageError, match="USE-010"):
            what_if(outcome, {key: 0.9}, runs={}, scorer=scorer_of(outcome))


def test_a_wrong_key_or_value_is_named(outcome: ClimbOutcome) -> None:
    for settings in ({"bar.qualty": 0.9}, {"bar.quality": 90}, {"volume": "many"}):
        with pytest.raises(ConfigError):
            what_if(outcome, settings, runs={}, scorer=scorer_of(outcome))


def test_the_short_forms_mean_requests_a_month_and_quality(
    outcome: ClimbOutcome, root: Path
) -> None:
    found = asked(root, outcome, volume=1_000_000, bar=0.6)
    assert [change.key for change in found.changes] == ["bar.quality", "volume.requests_per_month"]
    assert str(found.changes[1]) == "volume.requests_per_month 10,000 → 1,000,000"


def test_the_table_of_the_page_holds_the_verdicts_of_what_if_at_every_bar(
    outcome: ClimbOutcome, root: Path
) -> None:
    runs, judge = runs_of(root, outcome.climb), scorer_of(outcome)
    table = what_if_table(outcome, runs=runs, scorer=judge)
    assert len(table.bars) == 101
    for place in range(0, 101, 7):
        settings = {"bar.quality": table.bars[place]}
        found = what_if(outcome, settings, runs=runs, scorer=judge).outcome.climb
        for rung in table.rungs:
            verdict = found.rung(rung.rung).verdict
            if rung.rung != table.audit_rung:
                assert rung.verdicts[place] == LETTERS[verdict]
    for rung in table.rungs:
        ordered = [list("PUF").index(letter) for letter in rung.verdicts]
        assert ordered == sorted(ordered)
    assert table.cheapest[0].low == 0 and table.cheapest[-1].high is None


def test_a_raced_climb_is_judged_by_what_holds_at_every_look(tmp_path: Path) -> None:
    more = RUNGS.replace("rungs:", "stop: first_pass, rungs:")
    task = prepared(tmp_path, ladder=more)
    raced = climbed(tmp_path, task)
    assert raced.climb.rungs[0].planned == 120
    same = asked(tmp_path, raced, bar__quality=0.5).outcome.climb
    assert same.rungs == raced.climb.rungs
    assert same.recommended == raced.climb.recommended
    higher = asked(tmp_path, raced, bar__quality=0.9).outcome.climb
    assert {r.verdict for r in higher.rungs if r.state == "measured"} <= {
        Verdict.UNDECIDED,
        Verdict.FAIL,
    }
    left_out = [r.rung for r in raced.climb.rungs if r.state == "skipped"]
    assert left_out and any(
        line.startswith(f"unmeasured: {', '.join(left_out)}; freehold climb -s bar.quality=0.9")
        for line in higher.why
    )


# The page ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(outcome: ClimbOutcome, root: Path) -> Path:
    models = Models(cache=Path("nowhere"), open_base=lambda _spec: ScriptedModel(often_right))
    with Store.open(root, clock=at_noon) as store:
        view = report_view(outcome, store=store, models=models, root=root)
    path = root / "c1.html"
    path.write_text(climb_html(view), encoding="utf-8")
    return path


def opened(browser: Browser, report: Path, *, width: int = 1000, scripts: bool = True) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=scripts
    )
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.goto(report.as_uri())
    assert asked == [report.as_uri()] and faults == []
    return page


def slide(page: Page, name: str, text: str) -> None:
    """Move a slider to the place that is called `text`."""
    data = json.loads(page.locator("#what-if-data").text_content() or "")
    place = data["sliders"][name]["texts"].index(text)
    page.get_by_test_id(f"what-if-{name}").fill(str(place))
    expect(page.locator(f"#what-if-{name}-value")).to_have_text(text)


@pytest.mark.parametrize(
    ("bar", "requests", "months", "price"),
    [
        (0.3, 100, 1, 0.05),
        (0.5, 5_000_000, 24, 4),
        (0.8, 10_000, 12, 0.2),
        (0.86, 200_000, 6, 2),
        (0.95, 10_000, 12, 0),
    ],
)
def test_the_page_says_what_the_program_says_wherever_its_sliders_are(
    outcome: ClimbOutcome,
    root: Path,
    report: Path,
    browser: Browser,
    bar: float,
    requests: int,
    months: float,
    price: float,
) -> None:
    settings = {
        "bar.quality": bar,
        "volume.requests_per_month": requests,
        "volume.horizon_months": months,
        "prices.dollars_per_machine_hour": price,
    }
    runs = runs_of(root, outcome.climb)
    found = what_if(outcome, settings, runs=runs, scorer=scorer_of(outcome))
    climbed = found.outcome.climb
    page = opened(browser, report)
    slide(page, "bar", numbers.bar_value(bar))
    slide(page, "volume", numbers.count(requests))
    slide(page, "horizon", f"{months} month" if months == 1 else f"{months} months")
    slide(page, "price", numbers.money(price))
    rows = [
        " ".join(
            [
                rung.rung,
                ("★ PASS" if rung.rung == climbed.recommended else f"{mark} {rung.verdict.value}"),
                numbers.money(rung.cost.dollars_per_1k),
                numbers.money(rung.cost.total_dollars),
            ]
        )
        for rung in climbed.rungs
        if rung.cost is not None
        for mark in ({"PASS": "✓", "FAIL": "✗", "UNDECIDED": "?"}[rung.verdict.value],)
    ]
    shown = page.get_by_test_id("what-if-table").locator("tbody tr")
    expect(shown).to_have_count(len(rows))
    assert [" ".join(row.locator("th,td").all_text_contents()) for row in shown.all()] == rows
    star = "★ " if climbed.recommended else ""
    expect(page.locator("#what-if-sentence")).to_have_text(
        star + climbed.why[0].split(" (")[0], use_inner_text=True
    )
    unaudited = any(line.startswith("audit: ") for line in climbed.why)
    said = page.locator("#what-if-note").text_content() or ""
    assert ("was not scored on the audit rows" in said) == unaudited
    command = page.locator("#what-if-command").text_content() or ""
    assert command.startswith("freehold report c1")
    flags = [change.as_flag for change in found.changes]
    assert sorted(command.removeprefix("freehold report c1").split(" -s ")[1:]) == sorted(
        flag.removeprefix("-s ") for flag in flags
    )
    page.get_by_role("button", name="Back to the task's settings").click()
    expect(page.locator("#what-if-command")).to_have_text("freehold report c1")
    page.context.close()


def test_without_scripts_the_totals_stand_and_no_slider_is_shown(
    report: Path, browser: Browser
) -> None:
    page = opened(browser, report, scripts=False)
    expect(page.get_by_test_id("totals-table")).to_be_visible()
    expect(page.locator("#what-if-controls")).to_be_hidden()
    page.context.close()


def test_the_page_has_no_faults_of_access_and_fits_a_narrow_screen(
    report: Path, browser: Browser
) -> None:
    axe: Any = Axe()  # its library is not typed
    for width in (1000, 390):
        page = opened(browser, report, width=width)
        page.locator("#what-if").scroll_into_view_if_needed()
        page.locator("#what-if").screenshot(path=str(report.parent / f"what-if-{width}.png"))
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        found = axe.run(page, context="#what-if")
        assert found.violations_count == 0, found.generate_report()
        page.context.close()


def test_the_policy_lets_no_other_script_run(report: Path, browser: Browser) -> None:
    text = report.read_text(encoding="utf-8")
    assert "script-src &#x27;sha256-" in text and "unsafe-eval" not in text
    copy = report.with_name("hostile.html")
    copy.write_text(text.replace("</body>", "<script>document.title='ran'</script></body>"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(copy.as_uri())
    expect(page.locator("#what-if-controls")).to_be_visible()
    assert page.title() != "ran"
    context.close()
