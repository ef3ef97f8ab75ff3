"""Several processes at one training: the first does all of the work, the others train along with it.

The first process runs a command as it would alone. Where it comes to a training (`tune_rung`) it sends
the others a `Call`, and each of them builds the same variant by itself up to that training: what asked a
model for answers is found in the store, as the first one has been there, and nothing of it is decided
again. They train along (`freehold.train.processes`), drop the rest of the build, and wait for the next
call, until they are dismissed. So they measure nothing, choose nothing, and write no result.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from freehold.core.errors import MachineError
from freehold.core.sections import RungName
from freehold.ladder.rung import Built, DevScores, Rung, Variant
from freehold.ladder.tools import Tools
from freehold.ladder.work import Workshop
from freehold.train.rows import TrainingRow

if TYPE_CHECKING:
    from freehold.train.processes import Processes


@dataclass(frozen=True)
class Call:
    """What the other processes are asked to take part in.

    `training` is the name of its folder, `finished` those that the same build came through before, `past`
    the rows of earlier domains that are rehearsed.
    """

    rung: RungName
    variant: Variant
    training: str
    finished: tuple[str, ...]
    past: tuple[TrainingRow, ...]


class PartDone(Exception):
    """This process has trained along; everything that follows is for the first one to do."""


@dataclass
class Team:
    """The processes of one command. `is_in_step`: all of them are between trainings, where they can talk."""

    processes: Processes
    is_in_step: bool = True

    @contextmanager
    def leading(self) -> Generator[None]:
        """Dismiss the other processes in the end, however the work of the first one ends.

        After a failure in the middle of a training they wait for something else, or failed as well; then
        the launcher ends them, as it does whenever a process fails.
        """
        try:
            yield
        finally:
            if self.is_in_step:
                self.processes.from_first(_nothing_more)
                self.processes.leave()

    def next_call(self) -> Call | None:
        """Return what the first process calls for next, None where it has dismissed the others."""
        call = self.processes.from_first(_nothing_more)
        if call is None:
            self.processes.leave()
        return call

    def led(self, rung: Rung) -> Rung:
        """Return the rung with a build that calls the other processes wherever it trains."""
        inner_build = rung.build

        def build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
            finished: list[str] = []

            @contextmanager
            def meet(training: str) -> Generator[Processes]:
                past = () if tools.after is None else tools.after.past
                call = Call(rung.name, variant, training, tuple(finished), past)
                self.processes.from_first(lambda: call)
                self.is_in_step = False
                try:
                    yield self.processes
                except KeyboardInterrupt:
                    self.is_in_step = True  # all of them paused
                    raise
                self.is_in_step = True
                finished.append(training)

            return inner_build(variant, replace(tools, meet=meet), dev_scores)

        return replace(rung, build=build)

    def take_part(self, call: Call, rung: Rung, shop: Workshop) -> None:
        """Train along with the first process.

        Raises:
            MachineError: this process comes to another training than the first one, so that they would
                add up what does not belong together.
        """

        @contextmanager
        def meet(training: str) -> Generator[Processes | None]:
            if training in call.finished:
                yield None  # it is read, not trained
                return
            if training != call.training:
                raise self._lost(call, training)
            yield self.processes
            raise PartDone

        with suppress(PartDone, KeyboardInterrupt):
            rung.build(call.variant, replace(shop.tools, meet=meet), shop.dev_scores)

    def _lost(self, call: Call, training: str) -> MachineError:
        return MachineError(
            "MAC-009",
            f"the first process has begun the training {call.training} of {call.rung}, and process"
            f" {self.processes.rank} prepares another one, {training}",
            help="start all processes with the same command, in one folder that each of them sees",
        )


def _nothing_more() -> Call | None:
    """Call for nothing: the others are dismissed."""
    return None
