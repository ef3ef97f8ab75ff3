# pyright: standard
"""A base on one device: its weights can be moved by an update of any size, and measured.

Every arm leaves an `Update`: the change of each weight matrix. Adapters of any kind, full weights and
a sequence of both are then one thing, and a size s of the update is base + s * update.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch
from domains import Domain
from torch import Tensor

from freehold.core.measure import Answer
from freehold.core.outcome import Failed, Scored
from freehold.core.sections import BaseModelSpec
from freehold.core.snapshot import Example
from freehold.evaluate.probes import Probe, measure_probes
from freehold.ladder.prompts import Asker, answer_text, constraint_of
from freehold.models.loading import Loaded, load
from freehold.models.local import LocalModel
from freehold.models.network import Network
from freehold.models.sources import find_model
from freehold.train.objectives import collate, logits_where_loss_is
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

Update: TypeAlias = Mapping[str, Tensor]

TEXT_TOKENS = {"cpu": 1024, "cuda": 65_536}
KL_ROWS = 128
_GENERATED_FAMILY_ITEMS = 20


def open_base(name: str, device: torch.device) -> LocalModel:
    """Open a base in float32 on any device, so that CPU and GPU measure the same weights."""
    files = find_model(BaseModelSpec(id=name), cache=Path("build/cache"))
    loaded = load(files, device=torch.device("cpu"))
    module = loaded.network.module
    torch.nn.Module.to(module, device)
    network = Network(module)
    network.prove_masks()
    moved = Loaded(network=network, chat=loaded.chat, context_tokens=loaded.context_tokens)
    return LocalModel(files, moved, clock=time.perf_counter)


@dataclass
class Lab:
    """A base, and the weights it has now. `start` is what an update is added to: the base at first."""

    base: LocalModel
    origin: dict[str, Tensor] = field(default_factory=dict)
    start: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Remember the untouched weights of every linear layer but the head."""
        network = self.base.loaded.network.module
        head = network.get_output_embeddings()
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                self.origin[name] = module.weight.detach().clone()
        self.start = dict(self.origin)

    def put(self, update: Update, scale: float = 1.0) -> None:
        """Set the weights to start + scale * update."""
        layers = dict(self.base.loaded.network.module.named_modules())
        with torch.no_grad():
            for name, weight in self.start.items():
                moved = weight + scale * update[name] if name in update else weight
                layers[name].weight.copy_(moved)  # type: ignore[union-attr,operator]

    def begin_at(self, total: Update) -> None:
        """Let updates be added to base + total from now on."""
        self.start = {
            name: weight + total[name] if name in total else weight
            for name, weight in self.origin.items()
        }
        self.put({})

    def total(self, update: Update, scale: float) -> dict[str, Tensor]:
        """Return how far start + scale * update is from the base."""
        return {
            name: self.start[name] - weight + scale * update[name]
            for name, weight in self.origin.items()
            if name in update
        }

    def quality(self, domain: Domain, examples: Sequence[Example]) -> list[float]:
        """Return the score of each answer, held to the labels or the schema; no answer scores 0."""
        scores = [0.0] * len(examples)

        def take(place: int, answer: Answer | Failed) -> None:
            if isinstance(answer, Failed):
                return
            outcome = domain.scorer.score(examples[place], answer)
            if isinstance(outcome, Scored):
                scores[place] = outcome.score

        self._asker(domain).ask([domain.prompt(example) for example in examples], take)
        return scores

    def answers(self, domain: Domain, examples: Sequence[Example]) -> list[tuple[str, float]]:
        """Return what the weights answer as text, and its score."""
        found = [("", 0.0)] * len(examples)

        def take(place: int, answer: Answer | Failed) -> None:
            if isinstance(answer, Answer):
                outcome = domain.scorer.score(examples[place], answer)
                if isinstance(outcome, Scored):
                    found[place] = (answer.raw, outcome.score)

        self._asker(domain).ask([domain.prompt(example) for example in examples], take)
        return found

    def _asker(self, domain: Domain) -> Asker:
        chat = self.base.loaded.chat
        longest = max(len(chat.answer_ids(answer_text(e.target))) for e in domain.pool[:2000])
        return Asker(
            self.base,
            domain.output,
            max_tokens=int(1.5 * longest) + 8,
            constraint=constraint_of(domain.output),
        )

    def probes(self, probes: Sequence[Probe]) -> list[bool]:
        """Return which probes are answered rightly by greedy generation, almost without generating.

        The right answer is read, and every next token must be the likeliest one, its end included. Where
        another token is likelier that could begin the same text, the answer is generated.
        """
        chat = self.base.loaded.chat
        rows = [TrainingRow(prompt=probe.messages, answer=probe.answer) for probe in probes]
        encoded = encode_rows(chat, rows, max_length=self.base.context_tokens).rows
        hits = [False] * len(probes)
        unclear: list[int] = []

        def look(places: Sequence[int], logits_NV: Tensor, targets_N: Tensor) -> None:
            best_N = logits_NV.argmax(-1)
            is_right_N = best_N == targets_N
            for stop in chat.stop_ids:
                is_right_N |= (targets_N == chat.end_id) & (best_N == stop)
            counts = [len(encoded[i].ids) - encoded[i].answer_start for i in places]
            parts = zip(best_N.cpu().split(counts), is_right_N.cpu().split(counts), strict=True)
            for place, (best, is_right) in zip(places, parts, strict=True):
                hits[place] = bool(is_right.all())
                if not hits[place]:
                    first = int(is_right.int().argmin())
                    left = encoded[place].ids[encoded[place].answer_start + first : -1]
                    if self._may_be_same(int(best[first]), left):
                        unclear.append(place)

        self._pass(encoded, look)
        for place, result in zip(
            unclear, measure_probes(self.base, [probes[i] for i in unclear]), strict=True
        ):
            hits[place] = isinstance(result.outcome, Scored) and result.outcome.score == 1.0
        return hits

    def _may_be_same(self, token: int, left: Sequence[int]) -> bool:
        """Tell whether a token could begin the text of the tokens that are left of the right answer."""
        chat = self.base.loaded.chat
        written, wanted = chat.decode([token]).strip(), chat.decode(left).strip()
        if token in chat.stop_ids:
            return not wanted
        return not written or "\ufffd" in written or wanted.startswith(written)

    def generated_agreement(self, probes: Sequence[Probe]) -> float:
        """Return the share of some probes on which `probes` says what free generation shows."""
        counts: dict[str, int] = {}
        some: list[Probe] = []
        for probe in probes:
            counts[probe.family] = counts.get(probe.family, 0) + 1
            if counts[probe.family] <= _GENERATED_FAMILY_ITEMS:
                some.append(probe)
        written = measure_probes(self.base, some)
        right = [isinstance(r.outcome, Scored) and r.outcome.score == 1.0 for r in written]
        return sum(a == b for a, b in zip(right, self.probes(some), strict=True)) / len(some)

    def logprobs(self, rows: Sequence[TrainingRow]) -> list[Tensor]:
        """Return log-probabilities [N, V] at the answer positions of each row."""
        encoded = encode_rows(self.base.loaded.chat, rows, max_length=self.base.context_tokens).rows
        found: dict[int, Tensor] = {}

        def look(places: Sequence[int], logits_NV: Tensor, _targets_N: Tensor) -> None:
            counts = [len(encoded[i].ids) - encoded[i].answer_start for i in places]
            parts = torch.log_softmax(logits_NV, -1).split(counts)
            found.update(zip(places, parts, strict=True))

        self._pass(encoded, look)
        return [found[place] for place in sorted(found)]

    def divergence(self, reference: Sequence[Tensor], rows: Sequence[TrainingRow]) -> float:
        """Return the forward KL from `reference` to the weights as they are, nats per token."""
        total = sum(
            float((old.exp() * (old - new)).sum())
            for old, new in zip(reference, self.logprobs(rows), strict=True)
        )
        return total / sum(len(old) for old in reference)

    @torch.inference_mode()
    def _pass(
        self,
        encoded: Mapping[int, TokenRow],
        look: Callable[[Sequence[int], Tensor, Tensor], None],
    ) -> None:
        device = self.base.loaded.network.device
        order = sorted(encoded, key=lambda place: len(encoded[place].ids))
        while order:
            take = max(1, TEXT_TOKENS[device.type] // len(encoded[order[-1]].ids))
            places, order = order[-take:], order[:-take]
            batch = collate([encoded[i] for i in places], [""] * len(places), device)
            module = self.base.loaded.network.module
            look(places, logits_where_loss_is(module, batch), batch.targets_N)


def distance(update: Update) -> float:
    """Return the length of an update as one vector."""
    return float(sum(float(part.float().pow(2).sum()) for part in update.values()) ** 0.5)
