"""Writes the golden drawings anew: `python -m tests.report.golden`, after looking at them."""

from __future__ import annotations

from pathlib import Path

from tests.report.charts import charts, training_charts
from tests.report.sample import climb

from freehold.report.svg import standalone

if __name__ == "__main__":
    folder = Path(__file__).parent / "golden"
    folder.mkdir(exist_ok=True)
    drawn = {**charts(climb(), prefix="drawn"), **training_charts()}
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(standalone(svg), encoding="utf-8")
