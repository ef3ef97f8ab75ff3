"""How long something will still take, from the last ten seconds of work. Pure.

An average over the whole past answers too late when the pace changes, and the last batch alone
jumps about. The window in between holds at most ten buckets of one second (longer where nothing was heard).
"""

from __future__ import annotations

from dataclasses import dataclass

BUCKETS = 10
LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class Pace:
    """Units done, by second: `(second, done so far)`, oldest first, at most eleven marks.

    Eleven marks bound ten buckets. `done` never falls: an observation that is lower than an
    earlier one, or older, changes nothing.
    """

    marks: tuple[tuple[float, float], ...] = ()

    def observe(self, done: float, *, at_seconds: float) -> Pace:
        """Return the pace with one more observation."""
        if not self.marks:
            return Pace(((at_seconds, done),))
        last_at, last_done = self.marks[-1]
        if at_seconds < last_at or done < last_done:
            return self
        is_open = len(self.marks) > 1 and last_at - self.marks[-2][0] < 1
        kept = self.marks[:-1] if is_open else self.marks
        return Pace((*kept, (at_seconds, done))[-(BUCKETS + 1) :])

    @property
    def per_second(self) -> float | None:
        """Units a second over the window; None while nothing has moved, or for too short a time."""
        if len(self.marks) < 2:
            return None
        (start, before), (end, after) = self.marks[0], self.marks[-1]
        if end - start < LEAST_SECONDS or after <= before:
            return None
        return (after - before) / (end - start)

    def seconds_left(self, total: float) -> float | None:
        """Return how long `total` units will still take; None while the pace is unknown."""
        if not self.marks:
            return None
        left = total - self.marks[-1][1]
        if left <= 0:
            return 0.0
        pace = self.per_second
        return None if pace is None else left / pace
