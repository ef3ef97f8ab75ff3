"""A training in a terminal: how far it is, and the loss so far as a row of little bars. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from freehold.cli.eta import Pace
from freehold.report import numbers
from freehold.report.lines import Look, Span, line, render
from freehold.report.spark import spark

CURVE_WIDTH = 40
BAR_WIDTH = 30


@dataclass(frozen=True)
class TrainProgress:
    """Tokens read of `total`, and the losses seen, oldest first. `done` never falls."""

    total: int
    done: int = 0
    losses: tuple[float, ...] = ()
    learning_rate: float = 0.0
    pace: Pace = field(default_factory=Pace)

    def advance(
        self, done: int, *, loss: float, learning_rate: float, at_seconds: float
    ) -> TrainProgress:
        """Return the progress after some more tokens."""
        furthest = min(max(done, self.done), self.total)
        return replace(
            self,
            done=furthest,
            losses=(*self.losses, loss),
            learning_rate=learning_rate,
            pace=self.pace.observe(furthest, at_seconds=at_seconds),
        )

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0


def drawing(progress: TrainProgress, look: Look) -> str:
    """Return the live picture of a training: a bar, the pace, the curve."""
    if not progress.done:
        return render([line("preparing tokenizer and data")], look)
    filled = round(progress.share * BAR_WIDTH)
    head = f"tokens {numbers.short_count(progress.done)}/{numbers.short_count(progress.total)}  "
    tail = f"  {int(100 * progress.share)} %"
    if progress.pace.per_second is not None:
        tail += f"  {numbers.short_count(round(progress.pace.per_second))} tok/s"
    left = progress.pace.seconds_left(progress.total)
    if left:
        tail += f"  eta {numbers.rough(left)}"
    bar = (Span("━" * filled, "strong"), Span("━" * (BAR_WIDTH - filled), "muted"))
    lines = [line(head, *bar, tail)]
    if progress.losses:
        curve = spark(progress.losses, width=CURVE_WIDTH, ascii=look.ascii)
        rate = f"   lr {progress.learning_rate:.1e}"
        lines.append(line(f"loss   {curve}  {progress.losses[-1]:.3f}{rate}"))
    return render(lines, look)


def plain_line(progress: TrainProgress) -> str:
    """Return the training as one line for a log."""
    text = (
        f"tokens {numbers.count(progress.done)}/{numbers.count(progress.total)}"
        f" ({int(100 * progress.share)} %)"
    )
    if progress.losses:
        text += f", loss {progress.losses[-1]:.3f}"
    left = progress.pace.seconds_left(progress.total)
    return f"{text}, eta {numbers.rough(left)}" if left else text
