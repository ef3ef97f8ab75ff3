# pyright: standard
"""What a worker process does with a cell. A process keeps what it has opened for the next cell."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from arms import ARMS, Setting, Trained
from cells import ORDERS, SINGLE_DOMAINS, WITH_GRID, Cell, Found, Sizes, pack
from domains import Domain, read_domain
from lab import KL_ROWS, Lab, distance, open_base
from safetensors.torch import load_file, save_file
from torch import Tensor

from freehold.core.measure import Frontier, FrontierPoint
from freehold.core.outcome import Scored
from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Example
from freehold.evaluate.operating_point import choose, frontier_point
from freehold.evaluate.probes import Probe, ProbeResult, probe_items
from freehold.train.adapters import layers_with_known_update
from freehold.train.replay import PoolSpec, replay_pool, self_prompts
from freehold.train.retention import Retention, retention, with_past
from freehold.train.rows import TrainingRow

LIMITS = (1.0, 3.0)
"""Points of general ability that may be lost: on average by the upper bound, in one family by the estimate."""
SEQUENCE_LIMITS = (1.5, 4.5)
"""The same after any stage of a sequence, over all stages so far."""
DEV_PROBE_SEED, TEST_PROBE_SEED = 1001, 2002
POOL_SEED = 7
SELF_POOL = 512
MOST_PROBES = 400
"""Probes of each family that no replayed prompt may ask, whatever number is read."""
PAST_BUFFER = 0.1
PAST_PASS_SCORE = 0.99
DOMAIN_KL_ROWS = 64
GRID = (0.0, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Place:
    """Where a worker reads and writes, and on what device it works."""

    data: Path
    work: Path
    bases: Mapping[str, str]
    sizes: Sizes
    device: str
    ours: str = "{}"

    def spec(self, *, seed: int = 0) -> LoraSpec:
        """Return how `ours` trains: the defaults of the rung, with what `ours` says instead."""
        return LoraSpec.model_validate(
            json.loads(self.ours) | {"epochs": self.sizes.epochs, "seed": seed}
        )


class Worker:
    """Domains, bases and pools that this process has opened."""

    def __init__(self, place: Place) -> None:
        torch.set_num_threads(1)
        warnings.filterwarnings("ignore")
        self.place = place
        self._domains: dict[str, Domain] = {}
        self._benches: dict[str, Bench] = {}

    def domain(self, name: str) -> Domain:
        if name not in self._domains:
            sizes = self.place.sizes
            self._domains[name] = read_domain(
                name, self.place.data, dev=sizes.dev, test=sizes.test, most_rows=sizes.rows
            )
        return self._domains[name]

    def bench(self, base: str) -> Bench:
        if base not in self._benches:
            opened = open_base(self.place.bases[base], torch.device(self.place.device))
            self._benches[base] = Bench(base, Lab(opened), self.place)
        return self._benches[base]

    def run(self, cell: Cell, known: Found) -> Found:
        """Measure a cell. `known` holds the factor and the lines that it needs."""
        began = time.perf_counter()
        bench = self.bench(cell.base)
        bench.lab.begin_at({})
        bench.prepare()
        do = {
            "start": self._start,
            "ladder": self._ladder,
            "single": self._single,
            "stage": self._stage,
            "time": self._time,
        }
        try:
            line = do[cell.kind](cell, bench, known)
        finally:
            bench.lab.begin_at({})
            if self.place.device == "cuda":
                torch.cuda.empty_cache()  # other processes share the card
        spent = {"device": self.place.device, "cell_seconds": round(time.perf_counter() - began, 1)}
        return {**cell.to_json(), **line, **spent}

    def _start(self, _cell: Cell, bench: Bench, _known: Found) -> Found:
        sizes = self.place.sizes
        names = sorted({*SINGLE_DOMAINS, *(n for order in ORDERS.values() for n in order)})
        dev, test = {}, {}
        for name in names:
            domain = self.domain(name)
            dev[name] = pack(bench.lab.quality(domain, domain.dev))
            test[name] = pack(bench.lab.quality(domain, domain.test))
        return {
            "dev": dev,
            "test": test,
            "dev_probes": pack(bench.lab.probes(bench.dev_probes)),
            "test_probes": pack(bench.lab.probes(bench.test_probes)),
            "families": list(dict.fromkeys(p.family for p in bench.test_probes)),
            "probes_of_a_family": sizes.probes,
            "generated_agreement": bench.lab.generated_agreement(bench.test_probes),
            "parameters": bench.lab.base.loaded.network.module.num_parameters(),
            "pool": bench.pool_seconds_and_size,
        }

    def _setting(self, cell: Cell, bench: Bench, domain: Domain, *, factor: float) -> Setting:
        sizes = self.place.sizes
        return Setting(
            domain=domain,
            examples=domain.train(cell.seed),
            factor=factor,
            seed=cell.seed,
            epochs=sizes.epochs,
            folder=self.place.work / f"training-{os.getpid()}",
            replay=bench.pool[:-KL_ROWS] if cell.arm == "trl" else (),
            retention=bench.retained(cell.arm),
            ours=self.place.spec(seed=cell.seed),
        )

    def _ladder(self, cell: Cell, bench: Bench, known: Found) -> Found:
        domain = self.domain(cell.place)
        trained = ARMS[cell.arm](bench.lab, self._setting(cell, bench, domain, factor=cell.factor))
        point = bench.point(trained.update, domain, known)
        return {**_facts(trained), "dev_quality": _size(point)["quality"], "dev_size": _size(point)}

    def _single(self, cell: Cell, bench: Bench, known: Found) -> Found:
        domain, lab = self.domain(cell.place), bench.lab
        setting = self._setting(cell, bench, domain, factor=known["factor"])
        kl_rows = [domain.render(example) for example in domain.dev[:DOMAIN_KL_ROWS]]
        domain_logprobs = lab.logprobs(kl_rows)
        trained = ARMS[cell.arm](lab, setting)
        line: Found = {**_facts(trained), "factor": known["factor"], "measured": {}}
        scales = [1.0]
        if cell.arm in WITH_GRID and (cell.arm != "naive" or cell.seed == 0):
            began = time.perf_counter()
            found = bench.frontier(trained.update, [domain], known)
            line |= {**_chosen(found), "choice_seconds": round(time.perf_counter() - began, 2)}
            scales.append(found.chosen)
        if cell.arm == "ours":
            line["prepare_seconds"] = bench.prepare_seconds
        for scale in dict.fromkeys(scales):
            lab.put(trained.update, scale)
            line["measured"][f"{scale:g}"] = {
                "quality": pack(lab.quality(domain, domain.test)),
                "probes": pack(lab.probes(bench.test_probes)),
                "kl_general": bench.general_divergence(),
                "kl_domain": lab.divergence(domain_logprobs, kl_rows),
            }
        if cell.seed == 0:
            lab.put(trained.update)
            line["generated_agreement"] = lab.generated_agreement(bench.test_probes)
        return line

    def _stage(self, cell: Cell, bench: Bench, known: Found) -> Found:
        lab, order = bench.lab, ORDERS[cell.place]
        domain, learnt = self.domain(order[cell.stage - 1]), order[: cell.stage - 1]
        total: dict[str, Tensor] = {}
        setting = self._setting(cell, bench, domain, factor=known["factor"])
        if cell.stage > 1:
            before = dataclasses.replace(cell, stage=cell.stage - 1)
            total = load_file(self.state(before), device=self.place.device)
            lab.begin_at(total)
        if cell.arm in {"ours", "whole"} and learnt:
            held = setting.retention
            if held is not None:
                held = with_past(
                    held,
                    self._past(cell, bench, learnt),
                    previous=lab.base,
                    layers=bench.layers,
                )
                setting = dataclasses.replace(setting, retention=held)
        trained = ARMS[cell.arm](lab, setting)
        choice: Found = {"chosen": 1.0, "reason": "always the whole update"}
        if cell.arm == "ours":
            seen = [self.domain(name) for name in (*learnt, domain.name)]
            choice = _chosen(bench.frontier(trained.update, seen, known, limits=SEQUENCE_LIMITS))
        scale = choice["chosen"]
        lab.put(trained.update, scale)
        quality = {
            name: pack(lab.quality(one, one.test[: self.place.sizes.sequence_test]))
            for name in order
            for one in [self.domain(name)]
        }
        self.state(cell).parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {
                name: part.contiguous().cpu()
                for name, part in lab.total(trained.update, scale).items()
            },
            self.state(cell),
        )
        return {
            **_facts(trained),
            "factor": known["factor"],
            "domain": domain.name,
            **choice,
            "quality": quality,
            "probes": pack(lab.probes(bench.test_probes)),
            "kl_general": bench.general_divergence(),
        }

    def state(self, cell: Cell) -> Path:
        """Return the file with how far the weights are from the base after a stage."""
        return state_file(self.place.work, cell)

    def _past(self, cell: Cell, bench: Bench, learnt: Sequence[str]) -> list[TrainingRow]:
        """Return a tenth of each learnt domain's prompts, answered rightly by the weights as they are."""
        rows: list[TrainingRow] = []
        for name in learnt:
            domain = self.domain(name)
            examples = domain.train(cell.seed)
            kept: Sequence[Example] = examples[: max(1, round(PAST_BUFFER * len(examples)))]
            for example, (text, score) in zip(kept, bench.lab.answers(domain, kept), strict=True):
                if score >= PAST_PASS_SCORE:
                    rows.append(TrainingRow(prompt=domain.prompt(example), answer=text))
        return rows

    def _time(self, cell: Cell, bench: Bench, known: Found) -> Found:
        domain = self.domain(cell.place)
        setting = self._setting(cell, bench, domain, factor=known["factor"])
        return {**_facts(ARMS[cell.arm](bench.lab, setting)), "factor": known["factor"]}


@dataclass
class Bench:
    """A base with everything that is measured of it more than once."""

    name: str
    lab: Lab
    place: Place
    _made: dict[str, float] = field(default_factory=dict)

    @cached_property
    def dev_probes(self) -> tuple[Probe, ...]:
        return probe_items(self.place.sizes.dev_probes, DEV_PROBE_SEED)

    @cached_property
    def test_probes(self) -> tuple[Probe, ...]:
        return probe_items(self.place.sizes.probes, TEST_PROBE_SEED)

    @cached_property
    def pool(self) -> tuple[TrainingRow, ...]:
        """The general prompts of the base with its own answers, for replay."""
        return self._pool("replay", self.place.sizes.pool, POOL_SEED)

    @cached_property
    def self_pool(self) -> tuple[TrainingRow, ...]:
        """The base's conversations with itself alone, without the prompts that it brought."""
        return self._pool("self", SELF_POOL, POOL_SEED)

    @cached_property
    def _kl_rows(self) -> tuple[TrainingRow, ...]:
        """Some general rows that are never replayed: the last of the pool."""
        return self._pool("replay", self.place.sizes.pool, POOL_SEED)[-KL_ROWS:]

    @cached_property
    def _kl_reference(self) -> list[Tensor]:
        return self.lab.logprobs(self._kl_rows)

    def prepare(self) -> None:
        """Compute, on the untouched base, what later weights are compared with."""
        _ = (self.pool, self._kl_reference)

    @property
    def pool_seconds_and_size(self) -> Found:
        """How long the pool took, how many conversations it has, and what was left out of it."""
        return json.loads(self._pool_file("replay").read_text())["made"]

    @property
    def layers(self) -> tuple[str, ...]:
        """Where the defaults of `ours` put their adapter."""
        return layers_with_known_update(self.lab.base.loaded.network.module, self.place.spec())

    @cached_property
    def held(self) -> Retention:
        """What `ours` holds on to: Freehold's defaults on the pool. Asked for on the untouched base."""
        began = time.perf_counter()
        spec = self.place.spec().retention
        held = retention(spec, self.pool[:-KL_ROWS], base=self.lab.base, layers=self.layers)
        self._made["soft"] = time.perf_counter() - began
        return held

    @cached_property
    def held_self(self) -> Retention:
        """The same on conversations with itself alone."""
        spec = self.place.spec().retention
        return retention(spec, self.self_pool, base=self.lab.base, layers=self.layers)

    def retained(self, arm: str) -> Retention | None:
        """Return what an arm holds on to."""
        if arm == "whole":
            return self.held
        return {"ours": lambda: self.held, "self": lambda: self.held_self}.get(arm, lambda: None)()

    @property
    def prepare_seconds(self) -> float:
        """What retention costs once for a base: the pool and its soft targets."""
        return round(self._made.get("soft", 0.0) + self.pool_seconds_and_size["seconds"], 2)

    def general_divergence(self) -> float:
        """Return the forward KL from the base on its own answers to prompts of its own, kept apart."""
        return self.lab.divergence(self._kl_reference, self._kl_rows)

    def frontier(
        self,
        update: Mapping[str, Tensor],
        domains: Sequence[Domain],
        known: Found,
        *,
        limits: tuple[float, float] = LIMITS,
    ) -> Frontier:
        """Return the sizes of an update that decide, and Freehold's choice; domains have as many dev rows each.

        The task is asked at every size; probes are read from the best size down, until one is within the
        bar. What is left out is worse on the task, so the choice is that among all sizes.
        """
        scores = {scale: self._scores(update, domains, scale) for scale in GRID}
        start = _mean(scores[0.0])
        points: list[FrontierPoint] = []
        for scale in sorted(GRID, key=lambda one: (-_mean(scores[one]), -one)):
            point = self._point(update, scale, scores=scores[scale], known=known, limits=limits)
            points.append(point)
            if point.is_feasible and point.worth > start:
                break
        return choose(points, start=start, limits=limits)

    def point(self, update: Mapping[str, Tensor], domain: Domain, known: Found) -> FrontierPoint:
        """Return what the whole update gains and loses on dev."""
        return self._point(update, 1.0, scores=self._scores(update, [domain], 1.0), known=known)

    def _scores(
        self, update: Mapping[str, Tensor], domains: Sequence[Domain], scale: float
    ) -> dict[str, float]:
        self.lab.put(update, scale)
        return {
            f"{domain.name}/{place}": score
            for domain in domains
            for place, score in enumerate(self.lab.quality(domain, domain.dev))
        }

    def _point(
        self,
        update: Mapping[str, Tensor],
        scale: float,
        *,
        scores: dict[str, float],
        known: Found,
        limits: tuple[float, float] = LIMITS,
    ) -> FrontierPoint:
        self.lab.put(update, scale)
        return frontier_point(
            scale,
            scores,
            before=_results(self.dev_probes, known["dev_probes"]),
            after=_results(self.dev_probes, self.lab.probes(self.dev_probes)),
            limits=limits,
            rng=np.random.default_rng(0),
        )

    def _pool(self, kind: str, prompts: int, seed: int) -> tuple[TrainingRow, ...]:
        file = self._pool_file(kind)
        if not file.exists():
            self._make_pool(kind, prompts, seed)
        rows = json.loads(file.read_text())["rows"]
        return tuple(TrainingRow.from_json(json.dumps(row)) for row in rows)

    def _pool_file(self, kind: str) -> Path:
        return pool_file(self.place.work, self.name, kind)

    def _make_pool(self, kind: str, prompts: int, seed: int) -> None:
        file = self._pool_file(kind)
        held_out = {
            _plain(probe.messages[-1].content)
            for seed in (DEV_PROBE_SEED, TEST_PROBE_SEED)
            for probe in probe_items(MOST_PROBES, seed)
        }
        began = time.perf_counter()
        make = self_prompts if kind == "self" else replay_pool
        pool = make(self.lab.base, PoolSpec(prompts=prompts, seed=seed))
        rows = [row for row in pool.rows if _plain(row.prompt[-1].content) not in held_out]
        made = {
            "seconds": round(time.perf_counter() - began, 2),
            "conversations": len(rows),
            "dropped": pool.dropped | {"asks what a probe asks": len(pool.rows) - len(rows)},
        }
        content = {"made": made, "rows": [row.to_json() for row in rows]}
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(content))
        draft.replace(file)


def pool_file(work: Path, base: str, kind: str) -> Path:
    """Return where a base's conversations with itself are kept."""
    return work / f"pool-{base}-{kind}.json"


def state_file(work: Path, cell: Cell) -> Path:
    """Return where the weights after a stage are kept for the next one."""
    return work / "states" / f"{cell.id.replace('/', '-')}.safetensors"


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _results(probes: Sequence[Probe], hits: Sequence[bool]) -> list[ProbeResult]:
    return [
        ProbeResult(probe_id=probe.id, family=probe.family, outcome=Scored(score=float(hit)))
        for probe, hit in zip(probes, hits, strict=True)
    ]


def _chosen(frontier: Frontier) -> Found:
    sizes = [_size(point) for point in frontier.points]
    return {"chosen": frontier.chosen, "reason": frontier.reason, "sizes": sizes}


def _size(point: FrontierPoint) -> Found:
    return {
        "scale": point.scale,
        "quality": round(100 * (point.quality.mean or 0.0), 3),
        "loss": round(point.points_lost.mean, 3),
        "upper": round(point.points_lost.high, 3),
        "worst_family": point.worst_family,
        "worst": round(point.worst_points.mean, 3),
        "is_feasible": point.is_feasible,
    }


def _facts(trained: Trained) -> Found:
    return {
        "learning_rate": trained.learning_rate,
        "seconds": round(trained.seconds, 3),
        "tokens": trained.tokens,
        "replay_tokens": trained.replay_tokens,
        "steps": trained.steps,
        "distance": round(distance(trained.update), 4),
        "curve": trained.curve,
        "steering": trained.steering,
        "peak_memory_bytes": trained.peak_memory_bytes,
    }


_worker: list[Worker] = []


def open_worker(place: Place) -> None:
    """Prepare this process."""
    place.work.mkdir(parents=True, exist_ok=True)
    _worker.append(Worker(place))


def run_cell(cell: Cell, known: Found) -> Found:
    """Measure a cell in this process."""
    return _worker[0].run(cell, known)
