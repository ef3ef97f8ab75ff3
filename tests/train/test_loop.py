# pyright: standard
from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from torch import Tensor, nn

from freehold.core.errors import MachineError, ModelError, UsageError
from freehold.core.measure import Estimate
from freehold.train.loop import Eyes, Loop, LoopResult, LoopSpec, LossTerm
from freehold.train.objectives import Batch
from freehold.train.records import (
    Check,
    Lost,
    Recipe,
    Steered,
    Stepped,
    StopReason,
    TrainEvent,
    Watch,
)

RECIPE = Recipe(
    learning_rate=0.05,
    epochs=1.0,
    steps=30,
    warmup_steps=2,
    batch_tokens=8,
    micro_tokens=8,
    max_length=8,
    precision="float32",
    evaluate_at=(0, 6, 12, 18, 24, 30),
)


class Line(nn.Module):
    """A small network with dropout, so that a resume must bring the random state back too."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 8)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Linear(8, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.dropout(torch.tanh(self.first(inputs))))


def line() -> Line:
    torch.manual_seed(1)
    network = Line()
    network.first.bias.requires_grad_(False)
    return network


def batch_at(step: int) -> tuple[Batch, ...]:
    generator = torch.Generator().manual_seed(step)
    return tuple(
        Batch(
            tokens_BT=torch.randn(4, 3, generator=generator),
            places_N=torch.arange(4),
            targets_N=torch.randint(0, 5, (4,), generator=generator),
            names=tuple(f"row {step}.{part}.{i}" for i in range(4)),
            tokens=12,
        )
        for part in range(2)
    )


def objective(network: Any, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(network(batch.tokens_BT), batch.targets_N, reduction="sum")


TERM = LossTerm("sft", objective, batch_at)


def loop_of(
    folder: Path,
    clock: Callable[[], float],
    *,
    network: nn.Module | None = None,
    scores: Sequence[float] | None = None,
    events: list[TrainEvent] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    terms: Sequence[LossTerm] = (TERM,),
    **settings_of_loop: Any,
) -> tuple[nn.Module, Loop]:
    network = network or line()
    by_step = dict(zip(RECIPE.evaluate_at, scores or (), strict=False))
    kept = folder / "checkpoint.safetensors"
    settings = {"recipe": RECIPE, "key": "run", "checkpoint": kept, "patience": None}
    spec = LoopSpec(**(settings | settings_of_loop))
    loop = Loop(
        network,
        terms,
        spec,
        eyes=Eyes(check=(lambda step: Check(score=by_step[step])) if scores else None),
        watch=Watch(
            clock=clock,
            on_event=(events if events is not None else []).append,
            should_stop=should_stop,
        ),
    )
    return network, loop


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def stop_after(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is None


@given(stops=st.lists(st.integers(1, 30), min_size=1, max_size=4))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_run_stopped_at_any_steps_ends_bit_identical_to_an_uninterrupted_one(
    tmp_path_factory: pytest.TempPathFactory, clock: Callable[[], float], stops: list[int]
) -> None:
    scores = (0.1, 0.3, 0.2, 0.5, 0.4, 0.4)
    network, loop = loop_of(tmp_path_factory.mktemp("whole"), clock, scores=scores)
    whole = loop.run()
    expected = weights(network)
    folder = tmp_path_factory.mktemp("parts")
    for stop in stops:
        _, loop = loop_of(folder, clock, scores=scores, should_stop=stop_after(stop))
        if loop.run().stopped is StopReason.FINISHED:
            break
    torch.manual_seed(99)
    network, loop = loop_of(folder, clock, scores=scores)
    parts = loop.run()
    assert same(weights(network), expected)
    assert parts.dev_curve == whole.dev_curve
    assert parts.loss_curve == whole.loss_curve
    assert (parts.best_step, parts.tokens, parts.steps) == (18, whole.tokens, 30)


def test_the_weights_of_the_best_dev_score_are_left_in_the_model(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    seen: dict[int, dict[str, Tensor]] = {}
    network = line()

    def check(step: int) -> Check:
        seen[step] = weights(network)
        return Check(score={12: 0.9}.get(step, 0.1))

    loop = Loop(
        network,
        [TERM],
        LoopSpec(recipe=RECIPE, key="run", checkpoint=tmp_path / "checkpoint.safetensors"),
        eyes=Eyes(check=check),
        watch=Watch(clock=clock),
    )
    result = loop.run()
    assert (result.best_step, result.best_score) == (12, 0.9)
    assert same(weights(network), seen[12])
    assert not same(seen[30], seen[12])


def test_equal_scores_keep_the_earlier_weights(tmp_path: Path, clock: Callable[[], float]) -> None:
    _, loop = loop_of(tmp_path, clock, scores=(0.1, 0.7, 0.7, 0.7, 0.2, 0.7))
    assert loop.run().best_step == 6


def test_patience_ends_a_run_whose_metric_has_stopped_rising(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    _, loop = loop_of(tmp_path, clock, scores=(0.1, 0.5, 0.4, 0.5, 0.9, 0.9), patience=2)
    result = loop.run()
    assert (result.stopped, result.steps, result.best_step) == (StopReason.PATIENCE, 18, 6)


def test_patience_waits_until_the_metric_has_risen_at_all(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    _, loop = loop_of(tmp_path, clock, scores=(0.2, 0.0, 0.0, 0.2, 0.1, 0.3), patience=1)
    result = loop.run()
    assert (result.stopped, result.best_step) == (StopReason.FINISHED, 30)


def test_without_a_dev_metric_the_last_weights_are_kept(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    _, loop = loop_of(tmp_path, clock)
    result = loop.run()
    assert (result.best_step, result.best_score, result.dev_curve) == (30, None, ())


def test_the_time_limit_counts_over_resumes(tmp_path: Path, clock: Callable[[], float]) -> None:
    _, loop = loop_of(tmp_path, clock, seconds=20.0, should_stop=stop_after(10))
    assert loop.run().stopped is StopReason.INTERRUPTED
    _, loop = loop_of(tmp_path, clock, seconds=20.0)
    result = loop.run()
    assert result.stopped is StopReason.TIME
    assert result.steps == 20  # the clock ticks once within a step


def test_only_trainable_parameters_move(tmp_path: Path, clock: Callable[[], float]) -> None:
    before = weights(line())
    network, loop = loop_of(tmp_path, clock)
    loop.run()
    after = weights(network)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"first.weight", "second.weight", "second.bias"}


def test_the_first_step_is_that_of_a_plain_adamw(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    """Two micro batches of a step are one batch: the loss is a mean over the targets of the step."""
    recipe = RECIPE.model_copy(update={"steps": 1, "warmup_steps": 0, "evaluate_at": (0, 1)})
    network, loop = loop_of(tmp_path, clock, recipe=recipe)
    torch.manual_seed(5)
    loop.run()
    plain = line()
    optimizer = torch.optim.AdamW(
        [p for p in plain.parameters() if p.requires_grad], lr=0.05, weight_decay=0.0
    )
    torch.manual_seed(5)
    parts = batch_at(0)
    logits = torch.cat([plain(part.tokens_BT) for part in parts])
    targets = torch.cat([part.targets_N for part in parts])
    nn.functional.cross_entropy(logits, targets).backward()
    nn.utils.clip_grad_norm_([p for p in plain.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(network.get_parameter(name), parameter, rtol=1e-5, atol=1e-6)


def test_loss_terms_add_up_with_their_weights(tmp_path: Path, clock: Callable[[], float]) -> None:
    events: list[TrainEvent] = []
    network = line()
    network.dropout.p = 0.0
    _, loop = loop_of(tmp_path, clock, network=network, events=events)
    loop.run()
    network = line()
    network.dropout.p = 0.0
    twice = [
        LossTerm("one", objective, batch_at, lambda: 0.25),
        LossTerm("two", objective, batch_at, lambda: 0.75),
    ]
    halves: list[TrainEvent] = []
    (tmp_path / "second").mkdir()
    _, loop = loop_of(tmp_path / "second", clock, network=network, events=halves, terms=twice)
    loop.run()
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert [event.loss for event in halves if isinstance(event, Stepped)] == pytest.approx(
        losses, rel=1e-4
    )


def test_a_loss_that_is_not_finite_stops_the_run_names_its_rows_and_keeps_the_checkpoint(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    def broken(network: Any, batch: Batch) -> Tensor:
        loss = objective(network, batch)
        return loss * math.nan if batch.names[0].startswith("row 9.") else loss

    _, loop = loop_of(
        tmp_path, clock, terms=[LossTerm("sft", broken, batch_at)], checkpoint_seconds=0.0
    )
    with pytest.raises(ModelError, match=r"step 10 is not finite, on row 9\.0\.0") as caught:
        loop.run()
    assert caught.value.problems[0].code == "TRN-004"
    network, resumed = loop_of(tmp_path, clock)
    assert resumed.resumed_at == 9
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_a_checkpoint_of_another_run_is_refused_and_left_alone(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    _, loop = loop_of(tmp_path, clock, should_stop=stop_after(5))
    loop.run()
    content = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UsageError, match="TRN-003"):
        loop_of(tmp_path, clock, key="another run")
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == content


def test_a_sink_that_is_gone_stops_no_training(tmp_path: Path, clock: Callable[[], float]) -> None:
    def closed_pipe(_event: TrainEvent) -> None:
        raise BrokenPipeError

    loop = Loop(
        line(),
        [TERM],
        LoopSpec(recipe=RECIPE, key="run", checkpoint=tmp_path / "checkpoint.safetensors"),
        eyes=Eyes(),
        watch=Watch(clock=clock, on_event=closed_pipe),
    )
    assert loop.run().stopped is StopReason.FINISHED


class Wary:
    """Steering that counts its looks, and halves the weight of replay at each."""

    def __init__(self) -> None:
        self.weight = 1.0

    def is_due(self, step: int) -> bool:
        return step % 5 == 0

    def look(self, step: int) -> Steered:
        self.weight /= 2
        return Steered(step=step, divergence=0.01 * step, weight=self.weight, replay=0.2)

    def state(self) -> dict[str, JsonValue]:
        return {"weight": self.weight}

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        self.weight = float(str(state["weight"]))


def kept(mean: float) -> Estimate:
    return Estimate(mean=mean, low=mean - 0.01, high=mean + 0.01, n=10, failed=0)


def steered_loop(
    folder: Path, clock: Callable[[], float], should_stop: Callable[[], bool], *, kept_at_12: float
) -> tuple[nn.Module, Loop]:
    steering = Wary()
    network = line()
    lost = Lost(family="copy", prompt="Say hello.", before="hello", after="bye")
    eyes = Eyes(
        check=lambda step: Check(
            score=0.01 * step, kept=kept(kept_at_12 if step >= 12 else 1.0), lost=(lost,)
        ),
        divergence=lambda: float(network.second.bias.detach().abs().sum()),
        steering=steering,
    )
    replay = LossTerm("replay", objective, batch_at, lambda: steering.weight, is_replay=True)
    file = folder / "checkpoint.safetensors"
    loop = Loop(
        network,
        [TERM, replay],
        LoopSpec(recipe=RECIPE, key="run", checkpoint=file, kept_floor=0.9),
        eyes=eyes,
        watch=Watch(clock=clock, should_stop=should_stop),
    )
    return network, loop


def without_costs(result: LoopResult) -> LoopResult:
    return replace(result, seconds=0.0, evaluation_seconds=0.0, peak_memory_bytes=0)


@pytest.mark.parametrize("stop", [1, 5, 6, 13, 29])
def test_replay_its_controller_and_all_curves_come_back_after_a_stop(
    tmp_path: Path, clock: Callable[[], float], stop: int
) -> None:
    (tmp_path / "whole").mkdir()
    network, loop = steered_loop(tmp_path / "whole", clock, lambda: False, kept_at_12=1.0)
    whole = loop.run()
    _, loop = steered_loop(tmp_path, clock, stop_after(stop), kept_at_12=1.0)
    assert loop.run().stopped is StopReason.INTERRUPTED
    resumed, loop = steered_loop(tmp_path, clock, lambda: False, kept_at_12=1.0)
    parts = loop.run()
    assert without_costs(parts) == without_costs(whole)
    assert same(weights(resumed), weights(network))
    assert [one.weight for one in whole.steering] == [2.0**-n for n in range(1, 7)]
    assert [one.step for one in whole.kept_curve] == [0, 6, 12, 18, 24, 30]
    assert len({one.value for one in whole.divergence_curve}) == 6
    assert whole.replay_tokens == 30 * 2 * 12
    assert whole.tokens == 2 * whole.replay_tokens
    assert [one.after for one in whole.lost] == ["bye"]


def test_a_run_that_forgets_at_two_checks_in_a_row_ends_there(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    _, loop = steered_loop(tmp_path, clock, lambda: False, kept_at_12=0.8)
    result = loop.run()
    assert (result.stopped, result.steps) == (StopReason.FORGETTING, 18)


def test_kept_ability_that_may_still_be_above_the_bar_ends_nothing(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    """Its mean is below the bar of 0.9, its upper bound is not."""
    _, loop = steered_loop(tmp_path, clock, lambda: False, kept_at_12=0.895)
    assert loop.run().stopped is StopReason.FINISHED


def test_a_gradient_that_is_not_finite_reaches_no_weight(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    def broken(network: Any, batch: Batch) -> Tensor:
        """Has a finite loss and a gradient of 0 / 0."""
        return objective(network, batch) + (network.second.bias * 0).sum().sqrt()

    network, loop = loop_of(tmp_path, clock, terms=[LossTerm("sft", broken, batch_at)])
    before = weights(network)
    with pytest.raises(ModelError, match=r"the gradient of step 1 is not finite, on row 0\.0\.0"):
        loop.run()
    assert same(weights(network), before)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_file_that_finds_no_room_is_an_error_and_keeps_the_last_checkpoint(
    tmp_path: Path, clock: Callable[[], float]
) -> None:
    import resource
    import signal

    _, loop = loop_of(tmp_path, clock, should_stop=stop_after(5))
    loop.run()
    file = tmp_path / "checkpoint.safetensors"
    content = file.read_bytes()
    _, loop = loop_of(tmp_path, clock)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, before[1]))
    try:
        with pytest.raises(MachineError, match="MAC-001"):
            loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == content
    assert loop_of(tmp_path, clock)[1].resumed_at == 5


def test_a_full_disk_is_an_error_that_says_so_and_keeps_the_last_checkpoint(
    tmp_path: Path, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    _, loop = loop_of(tmp_path, clock, should_stop=stop_after(5))
    loop.run()
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    _, loop = loop_of(tmp_path, clock)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="MAC-001"):
        loop.run()
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept
