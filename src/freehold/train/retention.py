# pyright: standard
"""Retention while training: replay under soft targets, steered by a divergence budget, and a penalty by curvature.

What is replayed was prepared on the untouched weights: the base's own answers to prompts that it asked
itself (`replay`), and rows of earlier domains as the previous model answers them. docs/retention.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue

from freehold.core.record import digest_json
from freehold.core.sections import RetentionSpec
from freehold.models.local import LocalModel
from freehold.train.batching import Step
from freehold.train.controller import ReplayController
from freehold.train.curvature import (
    ROWS,
    Curvature,
    CurvaturePenalty,
    curvature,
    joined,
    kept_curvature,
)
from freehold.train.loop import LossTerm
from freehold.train.preconditioner import CurvaturePreconditioner
from freehold.train.records import Steered
from freehold.train.rows import TokenRow, TrainingRow, encode_rows
from freehold.train.soft import (
    SoftBatch,
    SoftRow,
    collate_soft,
    kl_from_teacher,
    mean_divergence,
    sharpened,
    soft_rows,
)

HELD_OUT_SHARE = 0.1
HELD_OUT_MOST = 16
LOOKS = 5
"""How often the controller looks over a run."""
SOFT_BATCH_TOKENS = 8192
CURVATURE_BATCH_TOKENS = 1024
"""No more than a step of training has, as gradients pass here too."""
EVERY = 4
"""General prompts are replayed at every fourth step, four times as many and with four times the weight: a pass
of its own costs a small model as much as 80 tokens more."""
NEIGHBOURS = 4
"""Rows of a replay batch are drawn from so many times as many neighbours in length."""


@dataclass(frozen=True)
class Retention:
    """What a training holds on to.

    `general` rows are replayed, `watched` ones (of the same kind, never trained on) show how far the
    model has moved, `past` rows come from earlier domains. `curvature` says what the weights mean to
    general rows, and to those of earlier domains; None: nothing is held by it.
    """

    spec: RetentionSpec
    general: tuple[SoftRow, ...]
    watched: tuple[SoftRow, ...]
    past: tuple[SoftRow, ...] = ()
    curvature: Curvature | None = None

    @property
    def digest(self) -> str:
        """The name of everything here that decides a training; the curvature follows from rows and weights."""
        rows = [*self.general, *self.watched, *self.past]
        ids: list[JsonValue] = [[row.row.answer_start, *row.row.ids] for row in rows]
        return digest_json("retention", [self.spec.to_json(), ids])


def retention(
    spec: RetentionSpec,
    general: Sequence[TrainingRow],
    *,
    base: LocalModel,
    layers: Collection[str] | None = None,
    all_positions: bool = True,
    folder: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Retention:
    """Return what to hold on to, with the base's soft targets.

    Args:
        spec: how.
        general: the base's conversations with itself, from `replay.self_prompts`.
        base: untrained: it gives the soft targets and the curvature.
        layers: last names of the layers that the curvature is of (see `layers_with_known_update`); None:
            every linear layer but the head.
        all_positions: whether prompts of general rows carry loss too, not only the answers. A base
            that wrote its prompts itself has something to say about each of their tokens.
        folder: where curvatures are kept for the next training on the same base and prompts; None: nowhere.
        on_progress: told how many rows of the curvature are done, and all of them.

    Raises:
        MachineError: no space is left in `folder`.
    """
    encoded = encode_rows(base.loaded.chat, general, max_length=base.context_tokens)
    rows = [
        TokenRow(ids=row.ids, answer_start=1) if all_positions else row
        for row in encoded.rows.values()
    ]
    with_targets = soft_rows(
        base.loaded.network.module, rows, top_k=spec.top_k, batch_tokens=SOFT_BATCH_TOKENS
    )
    watched = min(HELD_OUT_MOST, int(HELD_OUT_SHARE * len(rows)))
    answers = [row.answer_start for row in encoded.rows.values()][watched:]
    general_rows = [
        sharpened(soft, first=answer - soft.row.answer_start, temperature=spec.temperature)
        for soft, answer in zip(with_targets[watched:], answers, strict=True)
    ]
    return Retention(
        spec=spec,
        general=_by_length(general_rows),
        watched=with_targets[:watched],
        curvature=_curvature(
            spec, rows[watched:], base, layers=layers, folder=folder, on_progress=on_progress
        ),
    )


def _by_length(rows: Sequence[SoftRow]) -> tuple[SoftRow, ...]:
    return tuple(sorted(rows, key=lambda row: len(row.row.ids)))


def with_past(
    held: Retention,
    rows: Sequence[TrainingRow],
    *,
    previous: LocalModel,
    layers: Collection[str] | None = None,
) -> Retention:
    """Return what to hold on to with rows of earlier domains besides, as the previous model says them.

    Args:
        held: of general prompts.
        rows: of earlier domains, with answers that were found right.
        previous: the model that learnt them: it gives soft targets on the answers, and the curvature.
        layers: as in `retention`.
    """
    encoded = encode_rows(previous.loaded.chat, rows, max_length=previous.context_tokens)
    plain = list(encoded.rows.values())
    if not plain:
        return held
    past = soft_rows(
        previous.loaded.network.module,
        plain,
        top_k=held.spec.top_k,
        batch_tokens=SOFT_BATCH_TOKENS,
    )
    added = _curvature(held.spec, plain, previous, layers=layers)
    parts = [one for one in (held.curvature, added) if one is not None]
    return replace(held, past=_by_length(past), curvature=joined(parts) if parts else None)


def _curvature(
    spec: RetentionSpec,
    rows: Sequence[TokenRow],
    model: LocalModel,
    *,
    layers: Collection[str] | None,
    folder: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Curvature | None:
    """Return the curvature of a model on rows; None where nothing is held by it."""
    if spec.curvature == 0 or not rows or (layers is not None and not layers):
        return None
    some = random.Random("curvature").sample(list(rows), min(len(rows), ROWS))
    network = model.loaded.network.module

    def measure() -> Curvature:
        return curvature(
            network,
            some,
            layers=layers,
            batch_tokens=CURVATURE_BATCH_TOKENS,
            on_progress=on_progress,
        )

    if folder is None:
        return measure()
    names: list[JsonValue] = [] if layers is None else [*sorted(layers)]
    ids: list[JsonValue] = [[row.answer_start, *row.ids] for row in some]
    name = digest_json("curvature", [model.digest, names, ids]).removeprefix("sha256:")
    return kept_curvature(folder / f"{name}.safetensors", measure)


def penalties_of(held: Retention, network: torch.nn.Module) -> tuple[CurvaturePenalty, ...]:
    """Return the penalty on weights that are trained themselves; none where they are not, or nothing is known."""
    if held.curvature is None:
        return ()
    penalty = CurvaturePenalty(network, held.curvature, weight=held.spec.curvature)
    return (penalty,) if penalty.layers else ()


def preconditioner_of(held: Retention, network: torch.nn.Module) -> CurvaturePreconditioner | None:
    """Return what the steps of the adapter in `network` are taken in; None where it has no such layer."""
    if held.curvature is None:
        return None
    found = CurvaturePreconditioner(network, held.curvature, weight=held.spec.curvature)
    return found if found.layers else None


class ReplaySteering:
    """Looks at the divergence on watched rows, and lets the controller adjust. See `Steering`."""

    def __init__(
        self, held: Retention, network: torch.nn.Module, *, steps: int, batch_tokens: int
    ) -> None:
        self.controller = ReplayController.start(held.spec)
        self._network = network
        self._every = max(1, steps // LOOKS)
        self._batches = _in_batches(held.watched, network, batch_tokens)

    def is_due(self, step: int) -> bool:
        """Whether to look after this step."""
        return bool(self._batches) and step % self._every == 0

    def look(self, step: int) -> Steered:
        """Measure, adjust, and say what was seen and decided."""
        divergence = mean_divergence(self._network, self._batches)  # pyright: ignore[reportArgumentType]
        self.controller.adjust(divergence)
        return Steered(
            step=step,
            divergence=divergence,
            weight=self.controller.weight,
            replay=self.controller.share,
        )

    def state(self) -> Mapping[str, JsonValue]:
        """Return what a checkpoint keeps."""
        return self.controller.state()

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from what a checkpoint kept."""
        self.controller.restore(state)


def replay_terms(
    held: Retention,
    steering: ReplaySteering,
    device: torch.device,
    *,
    step_tokens: Callable[[int], int],
    seed: int,
    share: Callable[[Step], Step] = lambda step: step,
) -> tuple[LossTerm, ...]:
    """Return the loss terms that hold on: general replay, and past domains where there are any.

    `step_tokens` says how many tokens of the lesson pass the model in a step. Which rows a step
    replays is a pure function of seed, step and the controller's share. `share` says which part of them
    this process passes (see `processes`).
    """
    controller = steering.controller
    terms: list[LossTerm] = []
    if held.general and held.spec.replay > 0:

        def general(step: int) -> tuple[SoftBatch, ...]:
            if step % EVERY:
                return ()
            share_of_step = controller.share / (1 - controller.share)
            wanted = round(EVERY * share_of_step * step_tokens(step))
            drawn = _some(held.general, wanted, seed=f"general/{seed}/{step}")
            return _own(drawn, share, device)

        terms.append(
            LossTerm(
                "replay",
                kl_from_teacher,
                general,
                lambda: EVERY * controller.weight,
                is_replay=True,
            )
        )
    if held.past and held.spec.past > 0:
        past_share = held.spec.past / (1 - held.spec.past)

        def past(step: int) -> tuple[SoftBatch, ...]:
            wanted = round(past_share * step_tokens(step))
            return _own(_some(held.past, wanted, seed=f"past/{seed}/{step}"), share, device)

        terms.append(LossTerm("past", kl_from_teacher, past, is_replay=True))
    return tuple(terms)


def watched_rows(rows: Sequence[TokenRow], base: LocalModel, *, top_k: int) -> tuple[SoftRow, ...]:
    """Return up to `HELD_OUT_MOST` of the lesson's rows with the base's soft targets.

    Their divergence from the base while training is the early warning of forgetting.
    """
    every = max(1, len(rows) // HELD_OUT_MOST)
    return soft_rows(
        base.loaded.network.module,
        list(rows[::every])[:HELD_OUT_MOST],
        top_k=top_k,
        batch_tokens=SOFT_BATCH_TOKENS,
    )


def divergence_on(
    rows: Sequence[SoftRow], network: torch.nn.Module, *, batch_tokens: int
) -> Callable[[], float]:
    """Return a function that measures the mean divergence of `network` on rows, in nats per token."""
    batches = _in_batches(rows, network, batch_tokens)
    return lambda: mean_divergence(network, batches)  # pyright: ignore[reportArgumentType]


def _some(rows: Sequence[SoftRow], tokens: int, *, seed: str) -> list[SoftRow]:
    """Return rows of like length drawn at random, of about so many tokens and at least one.

    `rows` are in the order of their lengths. One row is drawn, which every row can be, and the others
    from its neighbours, so that little of the batch is padding.
    """
    rng = random.Random(seed)
    first = rng.randrange(len(rows))
    count = max(1, round(tokens / len(rows[first].row.ids)))
    reach = NEIGHBOURS * count
    low = max(0, min(first - reach // 2, len(rows) - reach))
    near = rows[low : low + reach]
    return [rows[first], *rng.sample(near, min(count - 1, len(near)))]


def _own(
    drawn: Sequence[SoftRow], share: Callable[[Step], Step], device: torch.device
) -> tuple[SoftBatch, ...]:
    """Return what of the rows this process passes, as one batch; none where there is too little."""
    parts = share((tuple(range(len(drawn))),))
    return tuple(
        collate_soft([drawn[i] for i in part], ["a replayed prompt"] * len(part), device)
        for part in parts
    )


def _in_batches(
    rows: Sequence[SoftRow], network: torch.nn.Module, batch_tokens: int
) -> tuple[SoftBatch, ...]:
    device = next(network.parameters()).device
    batches: list[SoftBatch] = []
    left = sorted(rows, key=lambda row: -len(row.row.ids))
    while left:
        take = max(1, batch_tokens // len(left[0].row.ids))
        batches.append(collate_soft(left[:take], ["a watched row"] * len(left[:take]), device))
        left = left[take:]
    return tuple(batches)
