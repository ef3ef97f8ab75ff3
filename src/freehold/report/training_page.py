"""The page of one training: one HTML file under 1 MB that opens from a disk, while it runs and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from freehold.core.measure import Estimate
from freehold.report import numbers
from freehold.report.findings import clip
from freehold.report.frontier import change_words, frontier, kept_out_words
from freehold.report.heatmap import heat_map
from freehold.report.intervals import kept_families
from freehold.report.markup import Markup, element, join, shorten, visible
from freehold.report.page import Section, contents, figure, page, pairs, paragraph, table
from freehold.report.training_curves import training_curves
from freehold.report.training_view import Compute, Forgotten, TrainingView

MOST_BYTES = 1_000_000
REFRESH_SECONDS = 10
"""While a training runs, a browser reads its page again this often."""

WIDE, NARROW = 864, 340
THIRD = 1 / 3
GENERAL_PURPOSE = 1e23
"""From so many operations on a model counts as general-purpose (EU AI Act, guidelines of July 2025)."""
_SMALLER: tuple[tuple[int, int], ...] = ((200, 1_200), (200, 400), (100, 200), (20, 100), (0, 0))


def training_html(view: TrainingView) -> str:
    """Return the page as one HTML document of less than `MOST_BYTES` bytes.

    It loads nothing and runs nothing; while the training runs it asks the browser to read it anew.
    Where the forgotten examples would make it larger, they are shortened and left out, and it says
    how many.
    """
    document = ""
    for most, length in _SMALLER:
        document = _document(view, most=most, length=length)
        if len(document.encode("utf-8", "replace")) < MOST_BYTES:
            break
    return document


def headline(view: TrainingView) -> str:
    """Return the verdict of a training in one sentence."""
    if view.state != "finished":
        done = f"step {numbers.count(view.step)} of {numbers.count(view.curves.steps)}"
        best = ""
        if view.curves.dev and view.curves.best_step is not None:
            score = max(point.value for point in view.curves.dev)
            best = f"; best {view.metric} {numbers.share(score)} at step {view.curves.best_step}"
        words = "is training" if view.state == "running" else "is paused"
        return f"{view.training_id} {words}: {done}{best}"
    quality = f"{view.rung} reaches {numbers.estimate_n(view.quality)} on dev"
    if view.kept is None or view.kept.ratio.mean is None:
        return quality
    return f"{quality} and keeps {numbers.estimate(view.kept.ratio)} of general ability"


def kept_verdict(view: TrainingView) -> tuple[str, str]:
    """Return the role and the words of kept ability against its bar."""
    ratio, bar = view.kept.ratio if view.kept else None, view.bar.kept
    if ratio is None:
        return "muted", "kept ability was not measured"
    if ratio.mean is None:
        return "muted", "the base answers no probe right, so nothing can be lost"
    shown = numbers.bar_value(bar)
    if ratio.low >= bar:
        return "pass", f"✓ keeps at least {shown}: {numbers.bound(ratio.low)} ≥ {shown}"
    if ratio.high < bar:
        return "fail", f"✗ loses too much: {numbers.bound(ratio.high)} < {shown}"
    return "undecided", f"? {shown} lies inside the interval of kept ability"


def compute_words(compute: Compute) -> str:
    """Return the training compute by the rule, and its share of the base's where that is known."""
    words = f"6·N·D = {compute.rule:.2g} operations"
    share = compute.share_of_base
    return words if share is None else f"{words}, {share_words(share)} of the base's"


def share_words(share: float) -> str:
    """Return a share of compute: `12 %`, `<0.1 %`."""
    return "<0.1 %" if share < 0.001 else numbers.percent(share)


def recipe_rows(view: TrainingView) -> tuple[tuple[str, str], ...]:
    """Return what the run was made with and what it took, as names with values."""
    rows = [*view.recipe]
    if view.seconds is not None:
        checks = view.evaluation_seconds
        rows.append(("training time", numbers.clock(view.seconds)))
        rows += [("dev checks", numbers.clock(checks))] if checks is not None else []
    if view.peak_memory_bytes is not None:
        rows.append(("peak memory", numbers.size(view.peak_memory_bytes)))
    return tuple(rows)


def _document(view: TrainingView, *, most: int, length: int) -> str:
    found = [section for section in _sections(view, most, length) if section.content]
    return page(
        f"{view.task} – training {view.training_id} – Freehold",
        top=_top(view),
        sections=[
            Section("answer", "", "", _answer(view)),
            _curves_section(view),
            Section("toc", "", "", contents(found)),
            *found,
        ],
        foot=_foot(view),
        refresh_seconds=REFRESH_SECONDS if view.state == "running" else None,
    )


def _sections(view: TrainingView, most: int, length: int) -> list[Section]:
    return [
        _matrix_section(view),
        _frontier_section(view),
        _kept_section(view),
        _forgotten_section(view, most, length),
        Section("recipe", "Recipe, time and memory", "", pairs(recipe_rows(view))),
        _compute_section(view),
        Section("made", "How it was made", "", _made(view)),
        Section("read", "How to read this", "", _how_to_read(view)),
    ]


def _both(draw: Callable[[int, str], Markup], name: str) -> Markup:
    return figure(draw(WIDE, name), draw(NARROW, f"{name}-narrow"))


def _top(view: TrainingView) -> Markup:
    facts = [
        f"rung {view.rung}",
        f"base model {view.base}",
        f"metric {view.metric}",
        f"kept ≥ {numbers.bar_value(view.bar.kept)}",
    ]
    facts += [f"after {view.after}"] if view.after else []
    return element(
        "header",
        {"class": "top"},
        paragraph(f"Freehold · training {view.training_id}", kind="eyebrow"),
        element("h1", {}, element("bdi", {}, view.task)),
        paragraph(" · ".join(facts), kind="eyebrow"),
    )


def _answer(view: TrainingView) -> Markup:
    role, verdict = kept_verdict(view)
    details: list[tuple[str, str]] = []
    if view.state == "finished":
        details.append(("kept", element("span", {"class": f"t-{role}"}, verdict)))
    if view.stopped:
        details.append(("stopped", f"{view.stopped}, at step {numbers.count(view.step)}"))
    if view.frontier is not None:
        details.append(("scale", f"s={view.frontier.chosen:g}: {view.frontier.reason}"))
        kept_out = kept_out_words(view.frontier, view.rung)
        details += [("kept out", kept_out)] if kept_out else []
    if view.forgotten_count:
        count = numbers.plural(view.forgotten_count, "probe")
        details.append(("forgotten", f"{count} that the base answered right"))
    details += [("note", note) for note in view.notes]
    return element(
        "section",
        {
            "class": f"card answer{'' if view.state == 'finished' else ' open'}",
            "data-testid": "answer",
        },
        paragraph(f"{headline(view)}.", kind="headline"),
        pairs(details, kind="why"),
        _facts(view),
    )


def _facts(view: TrainingView) -> Markup:
    ratio = view.kept.ratio if view.kept else None
    tiles = [
        ("quality on dev", view.quality, f"before {numbers.estimate(view.quality_before)}"),
        ("ability kept", ratio, f"bar {numbers.bar_value(view.bar.kept)}"),
    ]
    parts = [_fact(key, value, note) for key, value, note in tiles if value is not None]
    if view.seconds is not None:
        parts.append(_tile("training time", numbers.clock(view.seconds), ""))
    if view.peak_memory_bytes is not None:
        parts.append(_tile("peak memory", numbers.size(view.peak_memory_bytes), ""))
    return element("div", {"class": "facts"}, *parts) if parts else Markup()


def _fact(key: str, value: Estimate, note: str) -> Markup:
    bounds = f"{numbers.interval(value.low, value.high)} n={numbers.count(value.n)}"
    return _tile(key, numbers.share(value.mean), f"{bounds}, {note}")


def _tile(key: str, value: str, note: str) -> Markup:
    return element(
        "div",
        {"class": "fact"},
        element("span", {"class": "k"}, key),
        element("span", {"class": "v"}, value),
        element("span", {"class": "n"}, note),
    )


def _curves_section(view: TrainingView) -> Section:
    lead = (
        "Loss on the training rows, the metric on dev rows, and the share of general ability that is"
        " left, with its interval. ★ is the step whose weights were kept. Below: how far the answers"
        " have moved from the base's, on the task and on general prompts, and how strongly replay"
        " pulls back."
    )
    drawn = _both(
        lambda width, name: training_curves(
            view.curves, metric=view.metric, kept_bar=view.bar.kept, width=width, name=name
        ),
        "curves",
    )
    return Section("curves", "The training", lead, drawn)


def _matrix_section(view: TrainingView) -> Section:
    matrix, found = view.matrix, view.transfer
    heading = "Every domain after every stage"
    if matrix is None or found is None or len(matrix.stages) < 3:
        return Section("domains", heading, "", Markup())
    drawn = _both(lambda width, name: heat_map(matrix, found, width=width, name=name), "heat-map")
    lead = (
        "Dev rows of each domain; the framed cell is the domain right after it was learnt. Below it,"
        " numbers should not fall. Differences are in points, over the same rows."
    )
    return Section("domains", heading, lead, drawn)


def _frontier_section(view: TrainingView) -> Section:
    found, heading = view.frontier, "What each size of the update costs"
    if found is None or not found.points:
        return Section("frontier", heading, "", Markup())
    drawn = _both(lambda width, name: frontier(found, width=width, name=name), "frontier")
    rows = [
        (
            f"{'★ ' if point.scale == found.chosen else ''}s={point.scale:g}",
            numbers.estimate_n(point.quality),
            change_words(point),
            f"{point.worst_family} {numbers.signed_points(-point.worst_points.mean / 100)}",
            "yes" if point.is_feasible else "no",
        )
        for point in found.points
    ]
    headings = ("scale", "quality on dev", "general ability", "worst family", "within the limits")
    best = next((i for i, p in enumerate(found.points) if p.scale == found.chosen), None)
    lead = (
        f"The trained update, made smaller or larger. Chosen on dev: {found.reason}. The limits:"
        f" a mean loss of {numbers.plural_points(found.most_points)} by the upper bound of its interval, and of"
        f" {numbers.plural_points(found.most_family_points)} in any family. The hollow point is"
        " the update as it was trained."
    )
    drawn_table = table(headings, rows, best=best, name="frontier-table")
    return Section("frontier", heading, lead, join([drawn, drawn_table]))


def _kept_section(view: TrainingView) -> Section:
    kept = view.kept
    if kept is None or not kept.families:
        return Section("kept", "Kept ability", "", Markup())
    drawn = _both(
        lambda width, name: kept_families(kept, rung=view.rung, width=width, name=name), "kept"
    )
    lead = (
        "General ability by family of probes, worst first: hollow before training, filled after it."
        " No training row was drawn from these probes."
    )
    return Section("kept", "Kept ability", lead, drawn)


def _forgotten_section(view: TrainingView, most: int, length: int) -> Section:
    heading = "What it can no longer do"
    if not view.forgotten_count:
        return Section("forgotten", heading, "", Markup())
    shown = view.forgotten[:most]
    lead = (
        f"{numbers.plural(view.forgotten_count, 'probe')} answered right by the base and wrong now;"
        f" {numbers.count(len(shown))} shown."
    )
    by_family: dict[str, list[Forgotten]] = {}
    for one in shown:
        by_family.setdefault(one.family, []).append(one)
    ordered = sorted(by_family.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [_family(name, rows, length) for name, rows in ordered]
    content = element("div", {"data-testid": "forgotten"}, *parts)
    return Section("forgotten", heading, lead, content)


def _family(name: str, rows: Sequence[Forgotten], length: int) -> Markup:
    head = element(
        "summary",
        {},
        element("span", {"class": "chip"}, name),
        element("span", {"class": "preview"}, numbers.plural(len(rows), "probe")),
    )
    inside = [_one(row, length) for row in rows]
    return element(
        "details",
        {"class": "group", "open": True},
        head,
        element("div", {"class": "inside"}, *inside),
    )


def _one(row: Forgotten, length: int) -> Markup:
    head = element("summary", {}, element("bdi", {}, clip(visible(row.prompt[:400]), 100)))
    answers = [
        ("before", element("del", {}, element("bdi", {}, shorten(row.before, length)))),
        ("after", element("ins", {}, element("bdi", {}, shorten(row.after, length) or "(empty)"))),
    ]
    prompt = element("pre", {"dir": "auto"}, Markup("\n"), shorten(row.prompt, length))
    return element("details", {}, head, element("div", {"class": "inside"}, prompt, pairs(answers)))


def _compute_section(view: TrainingView) -> Section:
    compute, heading = view.compute, "Compute"
    if compute is None:
        return Section("compute", heading, "", Markup())
    rows = [
        ("parameters, N", numbers.count(compute.parameters)),
        ("tokens, D", numbers.count(compute.tokens)),
        ("6·N·D", f"{compute.rule:.3g} operations"),
        ("operations done", f"{compute.operations:.3g}"),
        ("the base's", _base_words(compute)),
    ]
    lead = (
        "6·N·D is the customary count of training compute. Under the EU AI Act's guidelines whoever"
        " modifies a general-purpose model with more than a third of its original compute becomes"
        " its provider."
    )
    return Section("compute", heading, lead, pairs(rows))


def _base_words(compute: Compute) -> str:
    share = compute.share_of_base
    if share is None or compute.base_operations is None:
        side = "below" if compute.rule < THIRD * GENERAL_PURPOSE else "above"
        return (
            "not known: its maker's tokens are not on record here; this run is"
            f" {side} a third of the {GENERAL_PURPOSE:.0e} operations of a general-purpose model"
        )
    side = "below" if share < THIRD else "above"
    return (
        f"{compute.base_operations:.3g} operations; this run is {share_words(share)} of it,"
        f" {side} a third"
    )


def _made(view: TrainingView) -> Markup:
    facts: list[tuple[str, str]] = []
    if view.folder:
        facts.append(("adapter", element("code", {}, view.folder)))
    versions = ", ".join(f"{name} {version}" for name, version in view.versions.items())
    facts.append(("versions", versions or "not recorded"))
    parts = [pairs(facts)]
    if view.commands:
        parts.append(element("h3", {}, "As a command"))
        parts += [element("code", {"class": "copy"}, command) for command in view.commands]
    return join(parts)


def _how_to_read(view: TrainingView) -> Markup:
    return join(
        [
            paragraph(
                element("strong", {}, "Kept ability. "),
                "0.986 [.978 .994] means: of what the base answered right on general probes, 98.6 %"
                " is still answered right, and the long-run share lies between 97.8 % and 99.4 % at"
                f" {numbers.percent(view.bar.confidence)} confidence.",
            ),
            paragraph(
                element("strong", {}, "Dev is not test. "),
                "Steps and scale were chosen on these dev rows, so the quality here is a little"
                " optimistic. `freehold climb` measures on rows that nothing was chosen with.",
            ),
            paragraph(
                element("strong", {}, "Divergence. "),
                "How far the answers' probabilities have moved from the base's, in nats per token."
                " On the task it has to rise; on general prompts it should stay near its budget.",
            ),
        ]
    )


def _foot(view: TrainingView) -> Markup:
    version = view.versions.get("freehold", "")
    return element(
        "footer",
        {},
        f"Made by Freehold {version} on your machine. This file loads nothing and runs nothing.",
    )
