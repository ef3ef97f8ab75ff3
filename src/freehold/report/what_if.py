"""The what-if part of a report: totals by volume, which stand without scripts, and the sliders.

The page computes costs by the arithmetic of `total_cost`, and looks verdicts up in a table that the
program made (`WhatIfTable`): page and program say the same at every place of the sliders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from freehold.core.measure import Cost, RungResult, Verdict
from freehold.report import findings, numbers
from freehold.report.markup import Markup, element, join
from freehold.report.page import Section, paragraph, table
from freehold.report.view import ReportView
from freehold.report.what_if_view import WhatIfTable

VOLUMES = (*(step * 10**power for power in range(2, 8) for step in (1, 2, 5)), 10**8)
HORIZONS = (1.0, 2.0, 3.0, 6.0, 9.0, 12.0, 18.0, 24.0, 36.0, 48.0, 60.0)
PRICES = (
    0.0,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
    6.0,
    8.0,
    10.0,
    15.0,
    20.0,
    50.0,
    100.0,
)
_COLUMNS_OF_VOLUME = (0.01, 0.1, 1.0, 10.0, 100.0)


def script() -> str:
    """Return the script of the sliders, as it stands in the page."""
    return Path(__file__).with_name("what_if.js").read_text(encoding="utf-8")


def what_if_section(view: ReportView) -> Section:
    """Return the section: totals by volume, the cheapest rung by volume, and the sliders where they can work."""
    priced = [r for r in findings.measured(view.climb) if r.cost is not None]
    months = f"{view.task.volume.horizon_months:g} months"
    lead = (
        f"What each rung costs in all over {months}, by the number of requests a month. Verdicts and"
        " costs follow from what was measured: nothing is asked again."
    )
    if not priced:
        return Section("what-if", "What if", lead, Markup())
    parts = [_totals(view, priced)]
    if view.what_if is not None:
        parts.insert(0, _controls(view, view.what_if))
        parts.append(_cheapest(view, view.what_if))
    return Section("what-if", "What if", lead, join(parts))


def _totals(view: ReportView, priced: Sequence[RungResult]) -> Markup:
    own = view.task.volume.requests_per_month
    months = view.task.volume.horizon_months
    volumes = sorted({max(1, round(own * factor)) for factor in _COLUMNS_OF_VOLUME})
    rows: list[tuple[str, ...]] = []
    for result in priced:
        spent = result.cost
        if spent is not None:
            totals = (numbers.money(_total(spent, volume, months)) for volume in volumes)
            rows.append((result.rung, _verdict(result, view.climb.recommended), *totals))
    headings = ("rung", "verdict", *(f"{numbers.short_count(v)} a month" for v in volumes))
    best = next((i for i, row in enumerate(rows) if row[0] == view.climb.recommended), None)
    return table(headings, rows, right=range(2, len(headings)), best=best, name="totals-table")


def _verdict(result: RungResult, recommended: str | None) -> Markup:
    words = findings.verdict_text(result, recommended)
    return element("span", {"style": "white-space:nowrap"}, words)


def _total(spent: Cost, requests_per_month: int, months: float) -> float:
    monthly = requests_per_month * spent.dollars_per_1k / 1000 + spent.upkeep_dollars_per_month
    return spent.build_dollars + months * monthly


def _cheapest(view: ReportView, held: WhatIfTable) -> Markup:
    """Say which of the passing rungs is the cheapest at which volume."""
    if not held.cheapest:
        return Markup()
    passing = [r for r in findings.measured(view.climb) if r.verdict is Verdict.PASS]
    if len(held.cheapest) == 1:
        only = held.cheapest[0].rung
        words = (
            f"{only} is the cheapest at every volume"
            if len(passing) > 1
            else f"{only} alone passes"
        )
        return paragraph(
            f"Of the rungs that pass, {words}." if len(passing) > 1 else f"{words}.", kind="note"
        )
    ranges: list[str] = []
    for one in held.cheapest:
        low = numbers.count(round(one.low))
        if one.high is None:
            ranges.append(f"above {low} {one.rung}")
        elif one.low == 0:
            ranges.append(f"up to {numbers.count(round(one.high))} requests a month {one.rung}")
        else:
            ranges.append(f"from {low} to {numbers.count(round(one.high))} {one.rung}")
    return paragraph(f"Of the rungs that pass, the cheapest is {', '.join(ranges)}.", kind="note")


# Sliders -----------------------------------------------------------------------------------------


def _controls(view: ReportView, held: WhatIfTable) -> Markup:
    sliders = _sliders(view, held)
    data = json.dumps(_data(view, held, sliders), ensure_ascii=False, allow_nan=False)
    drawn = [_slider(name, str(slider["label"]), slider) for name, slider in sliders.items()]
    head = element("tr", {}, *(
        element("th", {"scope": "col", "class": "r" if i > 1 else None}, words)
        for i, words in enumerate(("rung", "verdict", "1,000 requests", "total"))
    ))  # fmt: skip
    inner = element(
        "table",
        {"data-testid": "what-if-table"},
        element("thead", {}, head),
        element("tbody", {"id": "what-if-rows"}),
    )
    return join(
        [
            element(
                "div",
                {"id": "what-if-controls", "class": "what-if", "hidden": True},
                element("div", {"class": "sliders"}, *drawn),
                element("p", {"id": "what-if-sentence", "class": "said", "role": "status"}),
                element("p", {"id": "what-if-note", "class": "note"}),
                element("div", {"class": "scroll", "tabindex": "0"}, inner),
                paragraph("The same as a command:", kind="note"),
                element("code", {"id": "what-if-command", "class": "copy"}),
                element(
                    "button",
                    {"id": "what-if-reset", "type": "button"},
                    "Back to the task's settings",
                ),
                element("h3", {}, "By volume, at the task's own settings"),
            ),
            Markup(
                '<script type="application/json" id="what-if-data">'
                + data.replace("<", "\\u003c")
                + "</script>"
            ),
        ]
    )


def _slider(name: str, label: str, slider: Mapping[str, JsonValue]) -> Markup:
    values = slider["values"]
    most = len(values) - 1 if isinstance(values, list) else 0
    field = element(
        "input",
        {
            "type": "range",
            "id": f"what-if-{name}",
            "data-testid": f"what-if-{name}",
            "min": "0",
            "max": str(most),
            "step": "1",
            "value": str(slider["own"]),
            "autocomplete": "off",
        },
    )
    shown = element("output", {"id": f"what-if-{name}-value", "for": f"what-if-{name}"})
    return element("div", {}, element("label", {"for": f"what-if-{name}"}, label), shown, field)


def _sliders(view: ReportView, held: WhatIfTable) -> dict[str, dict[str, JsonValue]]:
    volume, prices, bar = view.task.volume, view.task.prices, view.task.bar
    return {
        "volume": _choice(
            "Requests a month", "volume.requests_per_month", VOLUMES,
            own=volume.requests_per_month, words=lambda value: numbers.count(round(value)),
        ),
        "horizon": _choice(
            "Horizon", "volume.horizon_months", HORIZONS,
            own=volume.horizon_months, words=lambda v: f"{v:g} month" if v == 1 else f"{v:g} months",
        ),
        "price": _choice(
            "Price of a machine-hour", "prices.dollars_per_machine_hour", PRICES,
            own=prices.dollars_per_machine_hour, words=numbers.money,
        ),
        "bar": _choice(
            "Bar of quality", "bar.quality", held.bars, own=bar.quality, words=numbers.bar_value,
        ),
    }  # fmt: skip


def _choice(
    label: str, key: str, values: Sequence[float], *, own: float, words: Callable[[float], str]
) -> dict[str, JsonValue]:
    """Return the values of one slider, with the task's own among them."""
    ordered = sorted({*values, own})
    return {
        "label": label,
        "key": key,
        "values": list(ordered),
        "texts": [words(value) for value in ordered],
        "own": ordered.index(own),
    }


def _data(
    view: ReportView, held: WhatIfTable, sliders: Mapping[str, dict[str, JsonValue]]
) -> dict[str, JsonValue]:
    climb, task = view.climb, view.task
    best = max(findings.measured(climb), key=_mean)
    return {
        "climb": view.climb_id,
        "recommended": climb.recommended,
        "best": f"{best.rung}, {numbers.estimate_n(best.quality)}",
        "ceiling": task.bar.dollars_per_1k,
        "utilisation": task.prices.utilisation,
        "revalidations": task.volume.revalidations_per_month,
        "examples": held.revalidation_examples,
        "sliders": {name: dict(slider) for name, slider in sliders.items()},
        "audit": {
            "rung": held.audit_rung,
            "verdicts": held.audit,
            "rows": any(part.name == "audit" and part.size for part in view.snapshot.splits),
        },
        "rungs": [
            {
                "name": one.rung,
                "verdicts": one.verdicts,
                "build": one.build_seconds,
                "seconds": one.seconds_per_request,
                "tokens": one.tokens_dollars_per_request,
                "low": numbers.bound(
                    quality.low if (quality := climb.rung(one.rung).quality) else None
                ),
                "facts": list(_facts(climb.rung(one.rung), view)),
            }
            for one in held.rungs
        ],
    }


def _mean(result: RungResult) -> float:
    return -1.0 if result.quality is None or result.quality.mean is None else result.quality.mean


def _facts(result: RungResult, view: ReportView) -> list[str]:
    """Return what a headline says beyond quality and the price of a request."""
    bar = view.task.bar
    facts: list[str] = []
    if result.kept is not None:
        low = numbers.bound(result.kept.ratio.low)
        facts.append(f"kept {low} ≥ {numbers.bar_value(bar.kept)}")
    if bar.seconds_p95 is not None:
        limit = numbers.latency(bar.seconds_p95)
        facts.append(f"p95 {numbers.latency(result.seconds_p95)} ≤ {limit}")
    return facts
