# pyright: standard
"""The planned peak memory of a training against the measured one.

Every configuration is a network with random weights, built from a config, trained for four steps by
Freehold's own loop in a process of its own, the final checkpoint included. On a CPU the measure is
the largest resident memory of the process, on a GPU the most memory that PyTorch had allocated.
The plan sees the config, the spec and the sizes of the rows, and no weights.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/plan/run.py
    python benchmarks/plan/run.py --device cuda
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 7
STEPS = 4
MIB = 2**20
NAMES = {"cpu": "laptop-cpu", "cuda": "h100-80gb"}


@dataclass(frozen=True)
class Case:
    """One configuration: a network, what is trained, and the largest step."""

    network: str
    kind: str
    rows: int
    length: int
    precision: str = "float32"
    passes: int = 1
    answer: int = 16
    r: int = 16
    replay: float = 0.0
    targets: str = "all_linear"

    @property
    def name(self) -> str:
        parts = [self.network, self.kind, f"{self.rows} x {self.length}", self.precision]
        parts += ["accumulated"] if self.passes > 1 else []
        parts += [f"replay {self.replay:g}"] if self.replay else []
        parts += [f"{self.answer} answer tokens"] if self.answer != 16 else []
        return ", ".join(parts)


NETWORKS: dict[str, dict[str, Any]] = {
    "5M": {
        "vocab_size": 2048,
        "hidden_size": 256,
        "intermediate_size": 640,
        "num_hidden_layers": 6,
    },
    "30M": {
        "vocab_size": 8192,
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
    },
    "70M": {
        "vocab_size": 16384,
        "hidden_size": 640,
        "intermediate_size": 1792,
        "num_hidden_layers": 12,
    },
    "150M": {
        "vocab_size": 32768,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
    },
    "1.5B": {
        "vocab_size": 65536,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
    },
    "7B": {
        "vocab_size": 131072,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 32,
    },
}

CASES: dict[str, tuple[Case, ...]] = {
    "cpu": (
        Case("5M", "lora", 4, 512),
        Case("5M", "lora", 2, 1024, "bfloat16", passes=2, replay=0.2),
        Case("5M", "full", 8, 256, "bfloat16"),
        Case("30M", "lora", 8, 256, "bfloat16"),
        Case("30M", "dora", 4, 256),
        Case("30M", "full", 4, 512),
        Case("70M", "ia3", 8, 256, "bfloat16"),
        Case("70M", "lora", 16, 128, "bfloat16", answer=64, replay=0.2),
        Case("70M", "prefix", 2, 512, "bfloat16"),
        Case("150M", "lora", 4, 512, "bfloat16", passes=2),
        Case("150M", "dora", 2, 512, "bfloat16", targets="mlp"),
        Case("150M", "full", 2, 256, "bfloat16"),
    ),
    "cuda": (
        Case("150M", "lora", 4, 512, "bfloat16"),
        Case("150M", "full", 4, 512, "bfloat16", passes=2),
        Case("1.5B", "lora", 4, 512, "bfloat16", passes=2, replay=0.2),
        Case("1.5B", "dora", 2, 512, "bfloat16"),
        Case("1.5B", "ia3", 4, 512, "bfloat16"),
        Case("1.5B", "full", 2, 1024, "bfloat16"),
        Case("7B", "lora", 2, 1024, "bfloat16"),
        Case("7B", "prefix", 2, 1024, "bfloat16"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", type=int, nargs="+", help="these cases, by their place from 0")
    parser.add_argument("--one", type=int, help="measure this case in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(CASES[arguments.device][arguments.one], arguments.device)))
        return
    places = arguments.only or range(len(CASES[arguments.device]))
    print(heading(arguments.device), flush=True)
    print("\n| configuration | planned MiB | measured MiB | difference | seconds |")
    print("|---|---|---|---|---|", flush=True)
    worst = 0.0
    for place in places:
        began = time.perf_counter()
        planned, measured = both(place, arguments.device)
        difference = planned / measured - 1
        worst = max(worst, abs(difference))
        seconds = time.perf_counter() - began
        name = CASES[arguments.device][place].name
        print(
            f"| {name} | {planned / MIB:,.0f} | {measured / MIB:,.0f} | {difference:+.1%}"
            f" | {seconds:.0f} |",
            flush=True,
        )
    print(f"\nWorst difference: {worst:.1%}.")


def both(place: int, device: str) -> tuple[int, int]:
    """Return the planned and the measured peak in bytes; each has a process of its own."""
    command = [sys.executable, __file__, "--device", device, "--one", str(place)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return planned_bytes(CASES[device][place], device), int(json.loads(found.stdout)["bytes"])


def spec_of(case: Case) -> Any:
    from freehold.core.sections import RetentionSpec, TuneSpec

    return TuneSpec.model_validate(
        {
            "kind": case.kind,
            "r": case.r,
            "targets": case.targets,
            "batch_tokens": case.rows * case.length * case.passes,
            "retention": RetentionSpec(replay=case.replay),
        }
    )


def config_of(case: Case) -> Any:
    from transformers import LlamaConfig

    shape = NETWORKS[case.network]
    heads = shape["hidden_size"] // 64
    return LlamaConfig(
        **shape,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )


def planned_bytes(case: Case, device: str) -> int:
    from freehold.train.machines import MACHINES
    from freehold.train.plan import RowSizes, plan_training

    machine = MACHINES[NAMES[device]].model_copy(update={"precision": case.precision})
    rows = 100 * case.rows
    sizes = RowSizes(
        rows=rows,
        tokens=rows * case.length,
        answer_tokens=rows * case.answer,
        longest=case.length,
    )
    return plan_training(config_of(case), spec_of(case), sizes, machine=machine).memory_bytes


def measure(case: Case, device: str) -> dict[str, int]:
    """Train four steps in this process; return the most memory that was in use."""
    import torch
    from transformers import AutoModelForCausalLM

    from freehold.train.adapters import ADAPTERS

    torch.manual_seed(SEED)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device):
        network = AutoModelForCausalLM.from_config(config_of(case), dtype=dtype)
    network.requires_grad_(False)
    spec = spec_of(case)
    held = curvature_of(case, network, spec)
    ADAPTERS[spec.kind](network, spec, case.precision)  # pyright: ignore[reportArgumentType]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as scratch:
        train(case, network, Path(scratch) / "checkpoint.safetensors", spec=spec, held=held)
    if device == "cuda":
        return {"bytes": int(torch.cuda.max_memory_allocated())}
    return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def curvature_of(case: Case, network: Any, spec: Any) -> Any:
    """Return what a replaying training holds on by, measured on a few random rows: its size is that of any."""
    import torch

    from freehold.train.adapters import layers_with_known_update
    from freehold.train.curvature import curvature
    from freehold.train.retention import CURVATURE_BATCH_TOKENS
    from freehold.train.rows import TokenRow

    layers = layers_with_known_update(network, spec)
    if not case.replay or not layers:
        return None
    length = min(case.length, CURVATURE_BATCH_TOKENS)
    drawn = torch.randint(
        network.config.vocab_size, (2 * CURVATURE_BATCH_TOKENS // length, length)
    ).tolist()
    rows = [TokenRow(ids=tuple(ids), answer_start=1) for ids in drawn]
    return curvature(network, rows, layers=layers, batch_tokens=CURVATURE_BATCH_TOKENS)


def train(case: Case, network: Any, checkpoint: Path, *, spec: Any, held: Any) -> None:
    from freehold.train.loop import Eyes, Loop, LoopSpec, LossTerm
    from freehold.train.objectives import OBJECTIVES
    from freehold.train.records import Recipe, Watch
    from freehold.train.retention import Retention, penalties_of, preconditioner_of
    from freehold.train.soft import kl_from_teacher

    tokens = case.rows * case.length
    recipe = Recipe(
        learning_rate=1e-4,
        epochs=1,
        steps=STEPS,
        warmup_steps=1,
        batch_tokens=tokens * case.passes,
        micro_tokens=tokens,
        max_length=case.length,
        precision=case.precision,  # pyright: ignore[reportArgumentType]
        evaluate_at=(),
    )
    batch = plain_batch(case, network)
    terms = [LossTerm("sft", OBJECTIVES["sft"], lambda _: (batch,) * case.passes)]
    if case.replay:
        soft = soft_batch(case, network)
        terms.append(LossTerm("replay", kl_from_teacher, lambda _: (soft,), is_replay=True))
    holding = Retention(spec=spec.retention, general=(), watched=(), curvature=held)
    loop = Loop(
        network,
        [*terms, *penalties_of(holding, network)],
        LoopSpec(recipe=recipe, key="plan", checkpoint=checkpoint),
        eyes=Eyes(),
        watch=Watch(clock=time.perf_counter),
        preconditioner=preconditioner_of(holding, network),
    )
    loop.run()


def plain_batch(case: Case, network: Any) -> Any:
    import torch

    from freehold.train.objectives import Batch

    shape = (case.rows, case.length)
    tokens_BT = torch.randint(network.config.vocab_size, shape, device=network.device)
    ends = torch.arange(1, case.rows + 1, device=network.device)[:, None] * case.length
    places_N = (ends - 2 - torch.arange(case.answer, device=network.device)).flatten()
    return Batch(
        tokens_BT=tokens_BT,
        places_N=places_N,
        targets_N=tokens_BT.flatten()[places_N + 1],
        names=("",) * case.rows,
        tokens=tokens_BT.numel(),
    )


def soft_batch(case: Case, network: Any) -> Any:
    """Return a replay batch of as many tokens as the share asks for, with the network's own targets."""
    import torch

    from freehold.train.rows import TokenRow
    from freehold.train.soft import collate_soft, soft_rows

    share = case.replay / (1 - case.replay)
    wanted = min(share * case.rows * case.length * case.passes, case.rows * case.length)
    rows = max(1, -(-round(wanted) // case.length))
    drawn = torch.randint(network.config.vocab_size, (rows, case.length)).tolist()
    found = soft_rows(
        network,
        [TokenRow(ids=tuple(ids), answer_start=1) for ids in drawn],
        top_k=32,
        batch_tokens=case.length,
    )
    return collate_soft(found, ("",) * rows, network.device)


def heading(device: str) -> str:
    import peft
    import torch
    import transformers

    where = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU"
    return (
        f"{where}; torch {torch.__version__}, transformers {transformers.__version__},"
        f" peft {peft.__version__}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
