# pyright: standard
"""Train a small chat model from scratch: tokenizer, weights and a plain Hugging Face folder.

`scratch` is resumable: called again with the same spec, texts and folder it goes on from the last checkpoint, and
ends with the weights of an uninterrupted run. The data of a step depend on the seed and the step alone.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import torch
from pydantic import Field, JsonValue, model_validator
from tokenizers import Tokenizer
from torch import Tensor, nn

from freehold.core.errors import ModelError
from freehold.core.message import Message
from freehold.core.record import Record, digest_json
from freehold.data.procedural import FAMILIES, training_prompts
from freehold.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, write_whole
from freehold.train.decoder import Decoder, Shape
from freehold.train.llama_folder import write_llama
from freehold.train.replay import write_prompts
from freehold.train.scratch_batches import (
    POOL_STEPS,
    PROSE,
    Batches,
    LossWeights,
    MicroBatch,
    Mixture,
    PoolSize,
)
from freehold.train.scratch_texts import read_texts, sentences_of, tokenizer_texts
from freehold.train.tokenizer import train_tokenizer

Clock = Callable[[], float]
LossSum = Callable[[Tensor, Tensor, Tensor], Tensor]

FAMILY_SHARES: Final[Mapping[str, float]] = {
    "labels": 2.0,
    "nearest": 2.0,
    "intents": 1.5,
    "options": 2.0,
    "lookup": 1.5,
    "extraction": 2.0,
    "copying": 1.0,
    "reversing": 1.5,
    "sorting": 2.5,
    "casing": 2.5,
    "counting": 2.0,
    "arithmetic": 3.0,
    "nth_word": 1.5,
    "formatting": 1.5,
    PROSE: 0.6,
}
ALL_LENGTHS: Final[Mapping[int, float]] = {0: 0.1, 1: 0.79, 2: 0.09, 3: 0.02}
MORE_LONG: Final[Mapping[int, float]] = {0: 0.05, 1: 0.55, 2: 0.25, 3: 0.15}


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run: shares of the scales, loss weights, factors on the mixture's shares, made-up words."""

    scales: Mapping[int, float]
    weights: LossWeights
    factors: Mapping[str, float] = field(default_factory=dict[str, float])
    made_up: float = 0.2
    compounds: float = 0.0


_LATE: Final = Phase(
    ALL_LENGTHS,
    LossWeights(prompt=0.15, shown=0.5),
    factors={
        "labels": 2.0,
        "nearest": 1.5,
        "lookup": 1.5,
        "extraction": 1.5,
        "reversing": 3.0,
        "sorting": 1.6,
        "casing": 1.2,
        "counting": 6.0,
        "arithmetic": 2.5,
        "nth_word": 4.0,
    },
    made_up=0.5,
    compounds=0.6,
)
PHASES: Final = (
    Phase({0: 1.0}, LossWeights(prompt=0.3, shown=0.7)),
    Phase(ALL_LENGTHS, LossWeights(prompt=0.15, shown=0.5)),
    Phase(
        ALL_LENGTHS,
        LossWeights(prompt=0.15, shown=0.5),
        factors={
            "labels": 1.5,
            "lookup": 2.0,
            "reversing": 2.0,
            "sorting": 1.6,
            "counting": 4.0,
            "arithmetic": 3.0,
            "nth_word": 3.0,
        },
        made_up=0.5,
    ),
    _LATE,
    replace(_LATE, scales=MORE_LONG),
)
"""Very short items with more weight on prompts, so that copying from the context is learnt first; then all lengths;
then more of what is learnt late, and more made-up words, so that rules are learnt rather than words; then compounds,
so that the pieces of all words are met in every family; last more long prompts."""
EVENT_STEPS: Final = 10
LAST_SHARE: Final = 0.02
"""The decay ends at this share of the learning rate."""
CLIP_NORM: Final = 1.0
REPLAY_PROMPTS_OF_FAMILY: Final = 100
COMPILERS: Final = ("c++", "g++", "clang++", "cl")


class ScratchSpec(Record):
    """What is trained, on how much, and how. The defaults are freehold/acorn.

    When resuming, `tokens` may be another number and nothing else may: until the decay has begun the run does not
    depend on it. `mixture` holds the share of items of each family, and of plain text under `prose`; `phases` the
    numbers of tokens (steps x batch_tokens) after which the second to fifth of `PHASES` begin.
    """

    hidden: int = Field(default=256, ge=16)
    layers: int = Field(default=6, ge=1)
    heads: int = Field(default=4, ge=1)
    feed_forward: int = Field(default=640, ge=16)
    vocabulary: int = Field(default=2048, ge=300)
    context: int = Field(default=1024, ge=64)
    tokens: int = Field(default=33_000_000, ge=1)
    batch_tokens: int = Field(default=16_384, ge=64)
    micro_tokens: int = Field(default=4_096, ge=64)
    learning_rate: float = Field(default=0.004, gt=0)
    warm_up_tokens: int = Field(default=400_000, ge=0)
    phases: tuple[int, int, int, int] = (2_000_000, 14_000_000, 22_500_000, 30_700_000)
    decay_share: float = Field(default=0.35, ge=0, le=1)
    mixture: dict[str, float] = Field(default_factory=lambda: dict(FAMILY_SHARES))
    seed: int = 20261122

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden {self.hidden} is not a multiple of 2 x heads {self.heads}")
        unknown = sorted(self.mixture.keys() - FAMILIES.keys() - {PROSE})
        if unknown:
            raise ValueError(
                f"mixture names no family {unknown[0]!r}; there are {', '.join(FAMILIES)}, {PROSE}"
            )
        if any(share < 0 for share in self.mixture.values()) or not any(
            share > 0 for name, share in self.mixture.items() if name != PROSE
        ):
            raise ValueError("mixture needs a family with a share above 0, and none below")
        return self

    def identity(self, texts: Sequence[str]) -> str:
        """Return the name of the run: a digest of the spec without `tokens`, and of the texts."""
        values = self.model_dump(mode="json", exclude={"tokens"})
        return digest_json("Scratch", {"spec": values, "texts": list(texts)})

    def shape(self) -> Shape:
        """Return the sizes of the decoder."""
        return Shape(
            vocabulary=self.vocabulary,
            hidden=self.hidden,
            layers=self.layers,
            heads=self.heads,
            feed_forward=self.feed_forward,
            context=self.context,
        )


@dataclass(frozen=True, slots=True)
class ScratchEvent:
    """A point of the curve: `loss` is the mean weighted loss (nats) of the steps since the point before."""

    step: int
    tokens: int
    of_tokens: int
    loss: float
    learning_rate: float
    seconds: float


def learning_rate(spec: ScratchSpec, tokens: int) -> float:
    """Return the rate after `tokens` tokens: linear warm-up, constant, linear decay over the last `decay_share`."""
    warm = min(1.0, (tokens + 1) / max(1, spec.warm_up_tokens))
    left = (spec.tokens - tokens) / max(1.0, spec.decay_share * spec.tokens)
    return spec.learning_rate * warm * max(LAST_SHARE, min(1.0, left))


def mixture(spec: ScratchSpec, step: int) -> Mixture:
    """Return what the pool of a step is drawn from: the spec's shares in the phase in which the pool begins."""
    pool_start = (step // POOL_STEPS) * POOL_STEPS * spec.batch_tokens
    phase = PHASES[sum(pool_start >= start for start in spec.phases)]
    shares = {name: share * phase.factors.get(name, 1.0) for name, share in spec.mixture.items()}
    return Mixture(
        families=shares,
        scales=phase.scales,
        weights=phase.weights,
        made_up=phase.made_up,
        compounds=phase.compounds,
    )


def scratch(
    spec: ScratchSpec,
    *,
    folder: Path,
    on_event: Callable[[ScratchEvent], None],
    texts: Sequence[Path] = (),
    clock: Clock = time.monotonic,
    checkpoint_seconds: float = 120.0,
    compiled: bool = True,
) -> Path:
    """Train, or go on training, in `folder`, and return `folder/model`: a Hugging Face folder, refreshed at each checkpoint.

    Args:
        spec: what is trained.
        folder: holds tokenizer.json, curve.jsonl, checkpoint.safetensors and model/.
        on_event: called every ten steps. Where it raises, the run is saved before the exception goes on.
        texts: optional plain text; see `read_texts`.
        clock: in seconds.
        checkpoint_seconds: a checkpoint is written after at least this long.
        compiled: use torch.compile where there is a C++ compiler; about twice as fast after a minute.

    Raises:
        DataError: a text cannot be read.
        UsageError: the folder holds a run of another spec or other texts.
        ModelError: the loss is no longer finite; the last checkpoint stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prose = read_texts(texts)
    run = _Run(spec, folder=folder, key=spec.identity(prose))
    run.restore()
    tokenizer = _tokenizer(spec, folder, prose)
    batches = Batches(tokenizer, texts=prose, sentences=sentences_of(prose))
    size = PoolSize(spec.batch_tokens, spec.micro_tokens, spec.context)
    loss_sum = _loss_sum(run.decoder, compiled=compiled)
    began, before = clock(), run.progress.seconds
    saved = began
    while run.progress.tokens < spec.tokens:
        step = run.progress.step
        run.update(
            batches.step(step, seed=spec.seed, size=size, mixture=mixture(spec, step)), loss_sum
        )
        run.progress.seconds = before + clock() - began
        if run.progress.step % EVENT_STEPS == 0 or run.progress.tokens >= spec.tokens:
            run.tell(on_event)
        if clock() - saved >= checkpoint_seconds:
            run.save()
            write_llama(spec.shape(), run.decoder, tokenizer, folder=folder / "model")
            saved = clock()
    run.save()
    write_llama(spec.shape(), run.decoder, tokenizer, folder=folder / "model")
    write_replay_prompts(folder / "model", seed=spec.seed)
    return folder / "model"


def write_replay_prompts(folder: Path, *, seed: int) -> None:
    """Leave prompts of the kind that the model was trained on beside its weights.

    Whoever fine-tunes it replays them, so that it keeps what it can do (`replay.replay_pool`).
    """
    write_prompts(
        tuple(
            tuple(Message(role=role, content=content) for role, content in messages)
            for messages in training_prompts(REPLAY_PROMPTS_OF_FAMILY, seed)
        ),
        folder,
    )


def _tokenizer(spec: ScratchSpec, folder: Path, prose: Sequence[str]) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        texts = tokenizer_texts(spec.seed, prose, vocabulary=spec.vocabulary)
        trained = train_tokenizer(texts, vocabulary=spec.vocabulary)
        write_whole(path, trained.to_str(pretty=True).encode())
    return Tokenizer.from_file(str(path))


def _loss_sum(decoder: Decoder, *, compiled: bool) -> LossSum:
    """Return the decoder's loss, compiled where that is wanted and a compiler is installed."""
    if not compiled or not any(shutil.which(compiler) for compiler in COMPILERS):
        return decoder
    return torch.compile(decoder, dynamic=True)


@dataclass(slots=True)
class _Progress:
    """Everything about a run but its tensors. It is the JSON of a checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    window_loss: float = 0.0
    window_steps: int = 0


class _Run:
    """Weights, optimizers and progress of one run, and their files."""

    def __init__(self, spec: ScratchSpec, *, folder: Path, key: str) -> None:
        self.spec = spec
        self.decoder = Decoder(spec.shape(), generator=torch.Generator().manual_seed(spec.seed))
        self.progress = _Progress()
        self._key = key
        self._checkpoint = folder / "checkpoint.safetensors"
        self._curve = folder / "curve.jsonl"
        named = list(self.decoder.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        rate = spec.learning_rate
        self._optimizers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        )

    def update(self, micro: Sequence[MicroBatch], loss_sum: LossSum) -> None:
        """Do one optimizer step on the mean weighted loss of the micro-batches."""
        rate = learning_rate(self.spec, self.progress.tokens)
        weight = float(sum(batch.weights_BT.sum() for batch in micro))
        total = 0.0
        for batch in micro:
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_sum(
                    torch.from_numpy(batch.tokens_BT),
                    torch.from_numpy(batch.targets_BT),
                    torch.from_numpy(batch.weights_BT),
                )
            (loss / weight).backward()
            total += float(loss.detach()) / weight
            self.progress.tokens += int((batch.tokens_BT != 0).sum())
        if not math.isfinite(total):
            raise ModelError(
                "TRN-004",
                f"the loss of step {self.progress.step + 1} is {total}",
                help="start again in another folder with a lower learning_rate",
            )
        nn.utils.clip_grad_norm_(self.decoder.parameters(), CLIP_NORM)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        self.progress.step += 1
        self.progress.window_loss += total
        self.progress.window_steps += 1

    def tell(self, on_event: Callable[[ScratchEvent], None]) -> None:
        """Write the next point of the curve, and pass it on."""
        progress = self.progress
        event = ScratchEvent(
            step=progress.step,
            tokens=progress.tokens,
            of_tokens=self.spec.tokens,
            loss=progress.window_loss / progress.window_steps,
            learning_rate=learning_rate(self.spec, progress.tokens),
            seconds=progress.seconds,
        )
        progress.window_loss, progress.window_steps = 0.0, 0
        with self._curve.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")
        try:
            on_event(event)
        except BaseException:
            self.save()
            raise

    def save(self) -> None:
        """Write the checkpoint: beside, fsynced and renamed."""
        tensors = {f"decoder.{name}": value for name, value in self.decoder.state_dict().items()}
        for number, optimizer in enumerate(self._optimizers):
            for index, values in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{number}.{index}.{k}": v for k, v in values.items()}
        state: dict[str, JsonValue] = dict(asdict(self.progress))
        save_checkpoint(self._checkpoint, Checkpoint(tensors, state), key=self._key)

    def restore(self) -> None:
        """Go back to the checkpoint, if there is one; points of the curve after it are dropped."""
        found = load_checkpoint(self._checkpoint, key=self._key)
        if found is None:
            self._curve.unlink(missing_ok=True)
            return
        weights = {
            name.removeprefix("decoder."): value
            for name, value in found.tensors.items()
            if name.startswith("decoder.")
        }
        self.decoder.load_state_dict(weights)
        for number, optimizer in enumerate(self._optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in found.tensors.items():
                kind, *place = name.split(".")
                if kind == "optimizer" and int(place[0]) == number:
                    state.setdefault(int(place[1]), {})[place[2]] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.progress = _Progress(**found.state)  # pyright: ignore[reportArgumentType]
        if self._curve.exists():
            lines = self._curve.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self.progress.step]
            write_whole(self._curve, "".join(line + "\n" for line in kept).encode())
