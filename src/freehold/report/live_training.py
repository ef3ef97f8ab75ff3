"""A training while it runs: how far it is, and loss, dev metric and kept ability on one axis of steps.

The caller redraws what these functions return, at most eight times a second; nothing here reads a
clock or prints.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from freehold.core.measure import Estimate
from freehold.core.record import Record
from freehold.report import numbers
from freehold.report.lines import (
    Line,
    Look,
    Span,
    clean,
    elide,
    line,
    look_of,
    render,
    spread,
)
from freehold.report.spark import spark_over
from freehold.report.training_view import TrainingView

_BAR = 30
_WIDEST_SPARK, _NARROWEST_SPARK = 20, 8
_VALUES = 29
_RIGHT = 29
_KEPT_LOW = 0.9

Part = Annotated[int, Field(ge=0)]


class LiveTraining(Record):
    """A running training.

    `facts` follow the id in the heading. `work` is what is done besides steps, such as asking for
    replay prompts, with its count. `flat_checks` dev checks brought no new best; after `patience` of
    them the run stops. `page` is where a browser can look.
    """

    view: TrainingView
    facts: tuple[str, ...] = ()
    memory: str = ""
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    learning_rate: float | None = None
    work: str = ""
    done: Part = 0
    total: Part = 0
    patience: int | None = None
    page: str = ""


def live_training(
    live: LiveTraining, *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return the running training as text: heading, progress, three curves, and what comes next.

    Args:
        live: the state of the training.
        width: the columns of the terminal; fewer than 48 count as 48.
        ascii: whether symbols outside ASCII are replaced by their stand-ins.
        color: whether ANSI colours are used, besides the symbols.
    """
    look = look_of(width, ascii=ascii, color=color)
    if not live.view.training_id:
        return render([_work(live, look)], look)
    lines = [*_heading(live, look)]
    if live.work or not live.view.step:
        lines.append(_work(live, look))
    else:
        lines.append(_steps(live, look))
    lines.extend(_curves(live, look))
    lines.extend(_last(live, look))
    return render(lines, look)


def plain_training(live: LiveTraining, *, ascii: bool = False) -> str:
    """Return one line for a log: `t7 step 436/909 (47 %), loss 0.412, dev 0.867, eta 4:42`."""
    view, curves = live.view, live.view.curves
    if live.work:
        counted = f" {_counted(live.done, live.total)}" if live.total else ""
        return render([line(f"{view.training_id} {clean(live.work)}{counted}")], Look(ascii=ascii))
    parts = [
        f"{view.training_id} step {_counted(view.step, curves.steps)}"
        f" ({_percent(view.step, curves.steps)})"
    ]
    parts += [f"loss {curves.loss[-1].value:.3f}"] if curves.loss else []
    parts += [f"dev {numbers.share(curves.dev[-1].value)}"] if curves.dev else []
    parts += [f"kept {numbers.estimate(curves.kept[-1].estimate)}"] if curves.kept else []
    if live.eta_seconds is not None:
        parts.append(f"eta {numbers.rough(live.eta_seconds)}")
    return render([line(", ".join(parts))], Look(ascii=ascii))


def training_paused(view: TrainingView | None, resume: str) -> str:
    """Return what Ctrl-C prints: where the training stopped, and the line that resumes it."""
    where = ""
    if view is not None and view.step:
        where = f" at step {_counted(view.step, view.curves.steps)} of {view.training_id}"
    return f"Paused{where}. Nothing is lost. Resume: {resume}"


def flat_checks(view: TrainingView) -> int:
    """Return how many dev checks in a row brought no new best, once the metric has risen at all."""
    best = view.curves.best_step
    if not best:
        return 0
    return sum(point.step > best for point in view.curves.dev)


def _heading(live: LiveTraining, look: Look) -> list[Line]:
    view = live.view
    about = f" {clean(view.rung)} {' · '.join(clean(fact) for fact in live.facts)}"
    room = look.width - len(view.training_id) - (len(live.memory) + 2 if live.memory else 0)
    left = line(Span(view.training_id, "strong"), elide(about.rstrip(), room))
    return spread(left, line(live.memory), look.width) if live.memory else [left]


def _steps(live: LiveTraining, look: Look) -> Line:
    view = live.view
    tail = f"  {_percent(view.step, view.curves.steps)}"
    if live.tokens_per_second is not None:
        tail += f"  {numbers.short_count(round(live.tokens_per_second))} tok/s"
    if live.eta_seconds is not None:
        tail += f"  eta {numbers.rough(live.eta_seconds)}"
    head = f"step {_counted(view.step, view.curves.steps)}  "
    return _bar(head, tail, done=view.step, total=view.curves.steps, look=look)


def _work(live: LiveTraining, look: Look) -> Line:
    words = clean(live.work) or "opening the model"
    if not live.total:
        return line(elide(words, look.width))
    head = f"{words} {_counted(live.done, live.total)}  "
    tail = f"  {_percent(live.done, live.total)}"
    return _bar(head, tail, done=live.done, total=live.total, look=look)


def _bar(head: str, tail: str, *, done: int, total: int, look: Look) -> Line:
    room = min(look.width - len(head) - len(tail), _BAR)
    if room < 4:
        return line(elide(head.rstrip() + tail, look.width))
    filled = round(min(done / total, 1.0) * room) if total else 0
    full = "━" * filled if filled in (0, room) else "━" * (filled - 1) + "╸"
    return line(head, Span(full, "strong"), Span("━" * (room - filled), "muted"), tail)


def _curves(live: LiveTraining, look: Look) -> list[Line]:
    view, curves = live.view, live.view.curves
    rows: list[Line] = []
    if curves.loss:
        rate = f"lr {live.learning_rate:.1e}" if live.learning_rate is not None else ""
        points = [(point.step, point.value) for point in curves.loss]
        rows.append(_row("loss", points, f"{points[-1][1]:.3f}", right=rate, live=live, look=look))
    if curves.dev:
        points = [(point.step, point.value) for point in curves.dev]
        best = f"best at step {curves.best_step}" if curves.best_step is not None else ""
        words = numbers.share(points[-1][1])
        if view.quality is not None:
            words = numbers.estimate_n(view.quality)
        rows.append(_row("dev", points, words, right=best, live=live, look=look))
    known = [(p.step, p.estimate) for p in curves.kept if p.estimate.mean is not None]
    if known:
        rows.append(_kept(known, live=live, look=look))
    return rows


def _kept(known: list[tuple[int, Estimate]], *, live: LiveTraining, look: Look) -> Line:
    points = [(step, estimate.mean or 0.0) for step, estimate in known]
    values = [value for _, value in points]
    guard = f"guard: stop if < {numbers.bar_value(live.view.bar.kept)} twice"
    return _row(
        "kept",
        points,
        numbers.estimate(known[-1][1]),
        right=guard,
        live=live,
        look=look,
        ends=(min(_KEPT_LOW, *values), max(1.0, *values)),
    )


def _row(
    name: str,
    points: list[tuple[int, float]],
    words: str,
    *,
    right: str,
    live: LiveTraining,
    look: Look,
    ends: tuple[float, float] | None = None,
) -> Line:
    room = look.width - 7 - 2 - _VALUES - _RIGHT - 1
    has_right = room >= _NARROWEST_SPARK
    if not has_right:
        room = look.width - 7 - 2 - _VALUES
    size = min(max(room, _NARROWEST_SPARK), _WIDEST_SPARK)
    bars = spark_over(
        points, last_step=live.view.step, width=size, ends=ends, ascii=look.ascii
    ).ljust(size)
    text = f"{name.ljust(5)}  {bars}  {words}"
    return line(text.ljust(7 + size + 2 + _VALUES) + f" {right}" if has_right and right else text)


def _last(live: LiveTraining, look: Look) -> list[Line]:
    """Return a warning where one is due, and where a browser can look."""
    flat, patience = flat_checks(live.view), live.patience
    page = Span(clean(live.page), "muted")
    if not flat or patience is None or flat >= patience:
        return [line(Span(f"{clean(live.page)} · ^C pauses", "muted"))] if live.page else []
    left = patience - flat
    words = f"! dev quality flat for {numbers.plural(flat, 'check')}: early stop after {left} more"
    return spread(line(Span(elide(words, look.width), "warning")), line(page), look.width)


def _counted(done: int, total: int) -> str:
    return f"{numbers.count(done)}/{numbers.count(total)}"


def _percent(done: int, total: int) -> str:
    return f"{int(100 * min(done / total, 1.0)) if total else 0} %"
