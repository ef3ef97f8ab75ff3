"""The report of a climb: one HTML file under 1 MB that opens from a disk, without network.

It is whole without scripts; where they run, the sliders of the what-if part come to life.
"""

from __future__ import annotations

from collections.abc import Callable

from freehold.core.measure import Climb, Difference, Estimate, RungResult
from freehold.core.record import short
from freehold.core.task import JsonOutput, LabelOutput, Output
from freehold.report import findings, numbers
from freehold.report.bars import causes_by_rung
from freehold.report.curve import curve
from freehold.report.documents import figures_table
from freehold.report.examples import SMALLER, Limits, examples_part, prompts_part
from freehold.report.forest import forest
from freehold.report.intervals import MOST_SLICES, differences, kept_families, slices
from freehold.report.judge import judge_facts, rests_text
from freehold.report.markup import Markup, element, join, shorten
from freehold.report.page import Section, contents, figure, page, pairs, paragraph, table
from freehold.report.scatter import scatter
from freehold.report.theme import VERDICT_CLASSES
from freehold.report.tried import tried_words
from freehold.report.view import ReportView
from freehold.report.what_if import script, what_if_section

MOST_BYTES = 1_000_000
"""A report is smaller than this; examples and prompts are shortened until it is."""

WIDE, NARROW = 864, 340
MANY_LOOKS = 20
"""From here on the page warns that the test split has been used for many decisions."""


def climb_html(view: ReportView) -> str:
    """Return the report as one HTML document of less than `MOST_BYTES` bytes.

    Where the examples and prompts would make it larger, they are shortened and left out step by
    step (`examples.SMALLER`); the page says how many.
    """
    document = ""
    for limits in SMALLER:
        document = _document(view, limits)
        if len(document.encode("utf-8")) < MOST_BYTES:
            break
    return document


def _document(view: ReportView, limits: Limits) -> str:
    sections = [section for section in _sections(view, limits) if section.content]
    opening = [
        Section("answer", "", "", _answer(view)),
        Section(
            "forest",
            "Every rung against the bar",
            "Each row is one way to do the task, from the simplest at the top. The dot is the share"
            " of test examples answered well, the line its interval, the shaded zone what passes.",
            _both(lambda width, name: forest(view.climb, view.task.bar, width=width, name=name))(
                "forest"
            ),
        ),
        Section("toc", "", "", contents(sections)),
    ]
    return page(
        f"{view.climb.task} – climb {view.climb_id} – Freehold",
        top=_top(view),
        sections=[*opening, *sections],
        foot=_foot(view),
        script=script() if view.what_if is not None else "",
    )


def _sections(view: ReportView, limits: Limits) -> list[Section]:
    return [
        _table_section(view),
        what_if_section(view),
        _scatter_section(view),
        _differences_section(view),
        _causes_section(view),
        Section(
            "documents",
            "What was done with the documents",
            "Established by code from the passages in each prompt: a claim counts as supported where its"
            " numbers and most of its words stand in one passage. A paraphrase counts as unsupported, and a denial"
            " is not seen.",
            figures_table(view.climb),
        ),
        _slices_section(view),
        _kept_section(view),
        _curves_section(view),
        Section(
            "examples",
            "Examples",
            "Where the rungs differ. Open one to see what was asked, wanted and answered.",
            examples_part(view, limits),
        ),
        Section(
            "prompts",
            "The exact prompts",
            "What the model was given, byte for byte, on one example per rung.",
            prompts_part(view.prompts, limits),
        ),
        Section("cost", "Cost", "", _cost(view)),
        Section("task", "Task and data", "", _data(view, limits)),
        Section("made", "How it was made", "", _made(view)),
        Section("read", "How to read this", "", _how_to_read(view)),
    ]


def _both(draw: Callable[[int, str], Markup]) -> Callable[[str], Markup]:
    """Return a function that draws a chart in the wide and the narrow layout."""
    return lambda name: figure(draw(WIDE, name), draw(NARROW, f"{name}-narrow"))


def _top(view: ReportView) -> Markup:
    climb, task = view.climb, view.task
    facts = [
        f"{numbers.count(findings.evaluated(climb))} test examples",
        f"{numbers.plural(len(findings.measured(climb)), 'rung')} measured",
        f"base model {task.base.id}",
        f"metric {task.metric.primary}",
        f"bar: {findings.bar_text(task.bar)}",
    ]
    what_if = f" · what if: {' '.join(view.settings)}" if view.settings else ""
    return element(
        "header",
        {"class": "top"},
        paragraph(f"Freehold · climb {view.climb_id}{what_if}", kind="eyebrow"),
        element("h1", {}, element("bdi", {}, climb.task)),
        paragraph(" · ".join(facts), kind="eyebrow"),
    )


def _answer(view: ReportView) -> Markup:
    climb = view.climb
    first, *others = climb.why or ("Nothing was measured.",)
    star = element("span", {"class": "star", "aria-label": "recommended"}, "★ ")
    head = paragraph(star if climb.recommended else Markup(), first, kind="headline")
    details = [(label or "note", text) for label, text in map(findings.why_parts, others)]
    audit = findings.audit_text(climb)
    if audit:
        details.append(("audit", audit))
    parts: list[str] = [head, pairs(details, kind="why")]
    result = findings.subject(climb)
    if result is not None:
        parts.append(_facts(result, recommended=climb.recommended is not None))
    return element(
        "section",
        {"class": f"card answer{'' if climb.recommended else ' open'}", "data-testid": "answer"},
        *parts,
    )


def _facts(result: RungResult, *, recommended: bool) -> Markup:
    quality = result.quality
    kept = result.kept.ratio if result.kept else None
    cost = result.cost
    name = "quality" if recommended else f"quality of {result.rung}"
    tiles = [
        (name, numbers.share(quality.mean if quality else None), _interval(quality, size=True)),
        ("a thousand requests", numbers.money(cost.dollars_per_1k if cost else None), ""),
        ("p95 latency", numbers.latency(result.seconds_p95), _median(result)),
        ("ability kept", numbers.share(kept.mean if kept else None), _interval(kept, size=False)),
    ]
    return element("div", {"class": "facts"}, *(_fact(*tile) for tile in tiles))


def _fact(key: str, value: str, note: str) -> Markup:
    return element(
        "div",
        {"class": "fact"},
        element("span", {"class": "k"}, key),
        element("span", {"class": "v"}, value),
        element("span", {"class": "n"}, note),
    )


def _interval(value: Estimate | None, *, size: bool) -> str:
    if value is None:
        return ""
    words = numbers.interval(value.low, value.high)
    return f"{words} n={numbers.count(value.n)}" if size else words


def _median(result: RungResult) -> str:
    return "" if result.seconds_p50 is None else f"median {numbers.latency(result.seconds_p50)}"


def _table_section(view: ReportView) -> Section:
    climb, bar = view.climb, view.task.bar
    rows = [_table_row(index, result, view) for index, result in enumerate(climb.rungs)]
    best = next((i for i, r in enumerate(climb.rungs) if r.rung == climb.recommended), None)
    headings = ("rung", "quality", "Δ vs previous", "$/1k", "p95", "kept≥", "verdict")
    lead = (
        f"Test {findings.test_size(climb)},"
        f" {numbers.count(findings.failed_count(climb))} failed. Intervals"
        f" {numbers.percent(bar.confidence)}. ≈ marks a difference whose interval includes zero."
    )
    drawn = table(headings, rows, right=(3, 4, 5), best=best, name="climb-table")
    return Section("table", "The numbers", lead, drawn)


def _table_row(index: int, result: RungResult, view: ReportView) -> tuple[str, ...]:
    climb, bar = view.climb, view.task.bar
    name = f"{index} {result.rung}"
    if result.state != "measured":
        reason = f"{result.state}: {result.reason or 'no reason was recorded'}"
        return (name, element("span", {"class": "t-muted"}, reason), _verdict(result, climb))
    difference = result.against_previous
    mark = numbers.difference_mark(difference).strip()
    change = f"{mark} {numbers.difference(difference)}".strip()
    missed, caveat = findings.missed_bar(result, bar), findings.caveat(result, climb, bar)
    notes = "; ".join(filter(None, (caveat, findings.stopped_text(result))))
    return (
        name,
        _no_break(numbers.estimate_n(result.quality)),
        _no_break(change),
        numbers.amount(result.cost.dollars_per_1k if result.cost else None),
        numbers.latency(result.seconds_p95),
        numbers.share(result.kept.ratio.low if result.kept else None),
        join([_verdict(result, climb, missed), f" {notes}" if notes else ""]),
    )


def _no_break(text: str) -> Markup:
    return element("span", {"style": "white-space:nowrap"}, text)


def _verdict(result: RungResult, climb: Climb, missed: str = "") -> Markup:
    best = result.rung == climb.recommended
    role = "accent" if best else VERDICT_CLASSES[result.verdict]
    words = f"{findings.verdict_text(result, climb.recommended)} {missed}".strip()
    return element("span", {"class": f"t-{role}", "style": "white-space:nowrap"}, words)


def _scatter_section(view: ReportView) -> Section:
    climb, bar = view.climb, view.task.bar
    if not any(result.cost for result in findings.measured(climb)):
        return Section("scatter", "Quality against cost", "", Markup())
    drawn = _both(lambda width, name: scatter(climb, bar, width=width, name=name))("scatter")
    lead = "Up is better, left is cheaper. Each step to the right costs several times more."
    return Section("scatter", "Quality against cost", lead, drawn)


def _differences_section(view: ReportView) -> Section:
    found = [r for r in view.climb.rungs if isinstance(r.against_previous, Difference)]
    if not found:
        return Section("differences", "What each step brings", "", Markup())
    drawn = _both(lambda width, name: differences(view.climb, width=width, name=name))
    lead = (
        "Each rung against the one measured before it, on the same examples. Where the line crosses"
        " zero (≈), the step may have brought nothing."
    )
    return Section("differences", "What each step brings", lead, drawn("differences"))


def _causes_section(view: ReportView) -> Section:
    if not any(result.causes for result in view.climb.rungs):
        return Section("causes", "Why answers are wrong", "", Markup())
    drawn = _both(lambda width, name: causes_by_rung(view.climb, width=width, name=name))("causes")
    lead = (
        "Every wrong answer has a cause that code could establish; no model judged it. Confused is an"
        " answer of the right form that is wrong; unstable one that changes when the same is asked in"
        " other words."
    )
    return Section(
        "causes", "Why answers are wrong", lead, join([drawn, _causes_table(view.climb)])
    )


def _causes_table(climb: Climb) -> Markup:
    """Return by rung what moved since the one before, what is confused, and what is unstable."""
    rows: list[tuple[str, ...]] = []
    before: RungResult | None = None
    for result in findings.measured(climb):
        rows.append(
            (
                result.rung,
                findings.cause_changes(result, before) or numbers.UNKNOWN,
                findings.confusion_pairs(result) or numbers.UNKNOWN,
                findings.stability_text(result) or numbers.UNKNOWN,
            )
        )
        before = result
    headings = ("rung", "against the rung before", "confused, wanted→answered", "in other words")
    best = next((i for i, row in enumerate(rows) if row[0] == climb.recommended), None)
    return table(headings, rows, best=best, name="causes-table")


def _slices_section(view: ReportView) -> Section:
    shown = findings.subject(view.climb)
    if shown is None or not shown.slices or shown.quality is None:
        return Section("slices", "Slices", "", Markup())
    found, overall, name = shown.slices, shown.quality, "slices"
    drawn = _both(lambda width, name: slices(found, overall=overall, width=width, name=name))(name)
    more = len(found) - MOST_SLICES
    note = paragraph(f"{numbers.count(more)} better slices are not drawn.", kind="note")
    lead = (
        f"Parts of the test examples under {shown.rung}, worst first. The vertical line is the mean"
        f" over all. Hatched: fewer than {findings.FEW} examples, too few to judge."
    )
    return Section("slices", "Slices", lead, join([drawn, note if more > 0 else ""]))


def _kept_section(view: ReportView) -> Section:
    parts: list[Markup] = []
    for result in view.climb.rungs:
        kept = result.kept
        if kept is None or not kept.families:
            continue
        name = f"kept-{len(parts)}"
        rung, found = result.rung, kept
        drawn = _both(
            lambda width, name, found=found, rung=rung: kept_families(
                found, rung=rung, width=width, name=name
            )
        )
        head = f"{rung}: {numbers.estimate(kept.ratio)} of the ability it started with"
        parts.append(join([element("h3", {}, head), drawn(name)]))
    lead = (
        "General ability on fresh probes that no rung could train on: hollow before training,"
        " filled after it."
    )
    return Section("kept", "Kept ability", lead, join(parts))


def _curves_section(view: ReportView) -> Section:
    parts = [
        join(
            [
                element("h3", {}, curves.title),
                _both(lambda width, name, c=curves: curve(c, width=width, name=name))(f"curve-{i}"),
            ]
        )
        for i, curves in enumerate(view.curves)
    ]
    return Section("curves", "Learning curves", "", join(parts))


def _cost(view: ReportView) -> Markup:
    prices, volume = view.task.prices, view.task.volume
    hour = f"${prices.dollars_per_machine_hour:.2f}"
    formula = (
        "total = build + months × (requests a month × cost of a request + upkeep a month); "
        "on your own machines, cost of a request = price of a machine-hour × seconds of a request"
        " ÷ utilisation."
    )
    used = (
        f"Used here: {hour} a machine-hour, utilisation {numbers.percent(prices.utilisation)},"
        f" {numbers.count(volume.requests_per_month)} requests a month,"
        f" {volume.horizon_months:g} months, revalidations a month:"
        f" {volume.revalidations_per_month:g}. All of these are settings of the task file (prices, volume)."
    )
    rows = [
        (
            result.rung,
            numbers.money(result.cost.build_dollars),
            numbers.money(result.cost.dollars_per_1k),
            numbers.money(result.cost.upkeep_dollars_per_month),
            numbers.money(result.cost.total_dollars),
        )
        for result in view.climb.rungs
        if result.cost is not None
    ]
    best = next((i for i, row in enumerate(rows) if row[0] == view.climb.recommended), None)
    headings = ("rung", "build", "1,000 requests", "upkeep a month", "total over the horizon")
    drawn = table(headings, rows, right=(1, 2, 3, 4), best=best, name="cost-table")
    return join([paragraph(formula), paragraph(used), drawn if rows else ""])


def _data(view: ReportView, limits: Limits) -> Markup:
    task, snapshot = view.task, view.snapshot
    instruction = element("pre", {"dir": "auto"}, Markup("\n"), shorten(task.instruction, 4_000))
    facts = [
        ("answer", _output_words(task.output, limits)),
        ("snapshot", element("code", {}, snapshot.snapshot_digest)),
        ("duplicates", _duplicate_words(view)),
        ("left out", _drop_words(snapshot.drops_by_reason)),
    ]
    sources = [
        (s.name, s.format, numbers.count(s.rows), element("code", {}, s.sha256))
        for s in snapshot.sources
    ]
    splits = [
        (s.name, numbers.count(s.size), element("code", {}, s.split_digest))
        for s in snapshot.splits
    ]
    return join(
        [
            element("h3", {}, "Instruction"),
            instruction,
            element("h3", {}, "Data"),
            pairs(facts),
            table(("file", "format", "rows", "SHA-256"), sources, right=(2,), name="sources"),
            table(("split", "examples", "digest"), splits, right=(1,), name="splits"),
        ]
    )


def _output_words(output: Output, limits: Limits) -> str:
    if isinstance(output, LabelOutput):
        labels = shorten(", ".join(output.labels), max(limits.input, 400))
        return f"one of {numbers.plural(len(output.labels), 'label')}: {labels}"
    if isinstance(output, JsonOutput):
        return "a JSON value that fits the schema of the task"
    return "free text"


def _duplicate_words(view: ReportView) -> str:
    snapshot = view.snapshot
    parts = [
        f"{numbers.count(snapshot.duplicates)} exact",
        f"{numbers.count(snapshot.near_duplicates)} near; kept on one side of every split",
    ]
    if snapshot.leaked:
        parts.append(
            f"{numbers.count(snapshot.leaked)} test rows also stood in train and were left out there"
        )
    return ", ".join(parts)


def _drop_words(drops: dict[str, int]) -> str:
    if not drops:
        return "no row"
    return "; ".join(f"{numbers.plural(n, 'row')}: {reason}" for reason, n in drops.items())


def _made(view: ReportView) -> Markup:
    climb = view.climb
    seed_of_kept = {r.kept.seed for r in climb.rungs if r.kept is not None and r.kept.families}
    facts = [
        (
            "time and money",
            f"{numbers.clock(climb.seconds)}, "
            f"{numbers.money(round(findings.spent_dollars(climb, view.task), 2))} of machine time"
            + _for_tokens(climb.endpoint_dollars),
        ),
        ("looks", _looks(climb)),
        (
            "seeds",
            f"split {view.snapshot.seed}" + "".join(f", probes {s}" for s in sorted(seed_of_kept)),
        ),
        (
            "versions",
            ", ".join(f"{name} {v}" for name, v in climb.versions.items()) or "not recorded",
        ),
        ("task digest", element("code", {}, climb.task_digest)),
    ]
    facts += [("note", note) for note in climb.notes]
    if climb.judge is not None:
        facts += [*judge_facts(climb.judge)]
    facts += [
        (f"{r.rung} rests on", rests_text(r.rests_on))
        for r in climb.rungs
        if r.rests_on is not None
    ]
    rows = [
        (
            r.rung,
            r.variant or numbers.UNKNOWN,
            _tried(r),
            numbers.clock(r.build_seconds),
            numbers.latency(r.seconds_p50),
            "" if r.peak_memory_mib is None else f"{numbers.count(round(r.peak_memory_mib))} MiB",
            element(
                "code", {}, short(r.candidate_digest) if r.candidate_digest else numbers.UNKNOWN
            ),
        )
        for r in findings.measured(climb)
    ]
    headings = ("rung", "variant", "tried on dev", "build", "median", "memory", "candidate")
    drawn = table(headings, rows, right=(3, 4, 5), name="made-table")
    command = " ".join(["freehold report", view.climb_id, *view.settings])
    again = element("code", {"class": "copy"}, command)
    return join([pairs(facts), drawn, element("h3", {}, "As a command"), again])


def _looks(climb: Climb) -> str:
    if not climb.looks:
        return "not recorded"
    words = ", ".join(f"{split} {numbers.count(n)}" for split, n in climb.looks.items())
    if climb.looks.get("test", 0) >= MANY_LOOKS:
        words += (
            ". The test split has been used for many decisions, so its numbers are optimistic;"
            " fresh test examples would tell"
        )
    return words


def _tried(result: RungResult) -> str:
    return tried_words(result) or numbers.UNKNOWN


def _how_to_read(view: ReportView) -> Markup:
    confidence = numbers.percent(view.task.bar.confidence)
    return join(
        [
            paragraph(
                element("strong", {}, "Three verdicts. "),
                "✓ PASS: even the low end of the interval meets the bar. ✗ FAIL: even the high end"
                " misses it. ? UNDECIDED: these examples cannot tell, and the row says how many more"
                " would. ★ is the passing rung with the lowest total cost.",
            ),
            paragraph(
                element("strong", {}, "Intervals. "),
                f"0.855 [.817 .886] n=400 means: 85.5 % of 400 test examples were answered well, and"
                f" the long-run share lies between 81.7 % and 88.6 %, at {confidence} confidence."
                " More test examples make intervals shorter; a better rung moves them.",
            ),
            paragraph(
                element("strong", {}, "Paired. "),
                "Two rungs are compared example by example, on the same examples. So a difference"
                " can be clear although the two intervals overlap; look at “What each step"
                " brings”, not at the overlap.",
            ),
            paragraph(
                element("strong", {}, "Kept ability. "),
                "What training may cost in general ability: 0.974 means that 97.4 % of what the"
                " model could do before, it can still do.",
            ),
            paragraph(
                element("strong", {}, "Audit. "),
                "The recommended rung is scored once more on rows that nothing was chosen with; if"
                " they contradict the verdict, it becomes UNDECIDED.",
            ),
        ]
    )


def _foot(view: ReportView) -> Markup:
    version = view.climb.versions.get("freehold", "")
    return element(
        "footer",
        {},
        f"Made by Freehold {version} on your machine. This file loads nothing"
        + ("; its one script works the sliders." if view.what_if else " and runs nothing."),
    )


def _for_tokens(dollars: float) -> str:
    return f", {numbers.money(dollars)} for tokens of endpoints" if dollars else ""
