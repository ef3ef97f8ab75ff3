# pyright: standard
"""Training throughput and peak memory on a GPU: Freehold's loop against TRL's trainers.

Both train the same rank on all linear layers of the same random Llama (bfloat16 base, float32 adapter),
the same rows of random tokens, as many per step. Each arm passes its rows twice, in a process of its
own, and the second pass is timed, so that every arm is timed on exactly the same tokens, after kernels
are chosen and memory is laid out. The clock is read at the ends of steps, behind a synchronisation.
For preferences the time of the reference is added where an arm computes it before training.

    python benchmarks/train/gpu.py --out gpu.md
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/train/gpu.py --smoke --device cpu

Tokens are real tokens, padding left out, each answer with a prompt of its own. Memory is the most that
PyTorch had allocated on the device while training, weights included; on a CPU it is not measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from freehold.core.sections import LoraSpec
from freehold.models.network import Network
from freehold.train import answers
from freehold.train.adapters import lora, target_modules
from freehold.train.answers import AnswersRow, reference_logprobs
from freehold.train.batching import Indices, length_batches
from freehold.train.lesson import Lesson
from freehold.train.loop import Eyes, Loop, LoopSpec, LossTerm
from freehold.train.objectives import Dpo
from freehold.train.preference import REFERENCE_TOKENS, PreferenceLesson
from freehold.train.records import Recipe, Stepped, TrainEvent, Watch
from freehold.train.rows import TokenRow
from freehold.train.sft import SftLesson

ACORN = Path(__file__).resolve().parents[2] / "src" / "freehold" / "models" / "acorn"
SPEC = LoraSpec(r=16, seed=7)
LEARNING_RATE = 2e-4
BETA = 0.1
MIB = 1 << 20
FIRST_TOKEN = 16
"""Below it acorn's tokenizer, which TRL pads with, has its special tokens."""


@dataclass(frozen=True)
class Size:
    """A network and its rows: `start` tokens are those that all prompts begin with, as a task's do."""

    network: Mapping[str, int]
    steps: int
    rows_per_step: int
    start: int
    prompt: tuple[int, int]
    answer: tuple[int, int]

    @property
    def rows(self) -> int:
        return self.steps * self.rows_per_step


SIZES: Mapping[str, Size] = {
    "340M": Size(
        network={
            "vocab_size": 32_000,
            "hidden_size": 1024,
            "intermediate_size": 2816,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "max_position_embeddings": 2048,
        },
        steps=20,
        rows_per_step=8,
        start=64,
        prompt=(192, 384),
        answer=(64, 128),
    ),
    "smoke": Size(
        network={
            "vocab_size": 2048,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 256,
        },
        steps=3,
        rows_per_step=4,
        start=40,
        prompt=(48, 64),
        answer=(8, 16),
    ),
}


@dataclass(frozen=True)
class Pair:
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """One training. `loss` is the mean over both passes, which says that the arms learn the same."""

    tokens: int
    seconds: float
    peak_mib: float
    weights_mib: float
    loss: float


class Stopwatch:
    """Seconds from the end of one step to the end of another, on a device that has come to rest."""

    def __init__(self, device: torch.device, *, first: int, last: int) -> None:
        self._device = device
        self._first, self._last = first, last
        self._began = self._ended = 0.0

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def step(self, number: int) -> None:
        """Note that a step has ended."""
        if number == self._first:
            self._began = self.now()
        if number == self._last:
            self._ended = self.now()

    @property
    def seconds(self) -> float:
        return self._ended - self._began


@dataclass(frozen=True)
class Bench:
    """One random network on its device, its pairs, and the stopwatch."""

    size: Size
    network: PreTrainedModel
    pairs: tuple[Pair, ...]
    stopwatch: Stopwatch
    weights_mib: float

    @property
    def rows(self) -> tuple[TokenRow, ...]:
        return tuple(
            TokenRow(ids=(*pair.prompt, *pair.chosen), answer_start=len(pair.prompt))
            for pair in self.pairs
        )

    def measured(self, tokens: int, loss: float, *, before: tuple[float, float]) -> Measured:
        """`before`: seconds and peak MiB of what was computed before training."""
        return Measured(
            tokens=tokens,
            seconds=self.stopwatch.seconds + before[0],
            peak_mib=max(peak_mib(self.network.device), before[1]),
            weights_mib=self.weights_mib,
            loss=loss,
        )


def bench_of(size: Size, device: torch.device) -> Bench:
    torch.manual_seed(SPEC.seed)
    shape: dict[str, Any] = dict(size.network)
    config = LlamaConfig(
        **shape, tie_word_embeddings=True, pad_token_id=0, bos_token_id=None, eos_token_id=1
    )
    with device:
        network = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    network.eval().requires_grad_(False)
    weights = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    return Bench(
        size=size,
        network=network,
        pairs=pairs_of(size),
        stopwatch=Stopwatch(device, first=size.steps, last=2 * size.steps),
        weights_mib=weights / MIB,
    )


def pairs_of(size: Size) -> tuple[Pair, ...]:
    rng = random.Random(7)

    def drawn(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(FIRST_TOKEN, size.network["vocab_size"]) for _ in range(count))

    start = drawn(size.start)
    return tuple(
        Pair(
            prompt=start + drawn(rng.randint(*size.prompt) - size.start),
            chosen=drawn(rng.randint(*size.answer)),
            rejected=drawn(rng.randint(*size.answer)),
        )
        for _ in range(size.rows)
    )


def freehold_sft(bench: Bench) -> Measured:
    return freehold(bench, sft_lesson(bench), tokens=row_tokens(bench))


def sft_lesson(bench: Bench) -> SftLesson:
    return SftLesson(
        name="sft",
        rows=bench.rows,
        names=("",) * len(bench.rows),
        dropped=(),
        device=bench.network.device,
        network=door_of(bench.network),
    )


def freehold_dpo(bench: Bench) -> Measured:
    door = door_of(bench.network)
    rows = tuple(AnswersRow(pair.prompt, (pair.chosen, pair.rejected)) for pair in bench.pairs)
    few = rows[: 2 * bench.size.rows_per_step]
    reference_logprobs(door, few, batch_tokens=REFERENCE_TOKENS)  # kernels are chosen here
    forget_peak(bench.network.device)
    began = bench.stopwatch.now()
    reference = reference_logprobs(door, rows, batch_tokens=REFERENCE_TOKENS)
    before = (bench.stopwatch.now() - began, peak_mib(bench.network.device))
    lesson = PreferenceLesson(
        name="dpo",
        digest="",
        objective=Dpo(beta=BETA),
        dropped=(),
        network=door,
        rows=rows,
        names=("",) * len(rows),
        reference=reference,
        is_good=None,
    )
    return freehold(bench, lesson, tokens=pair_tokens(bench), before=before)


def start_read_once(arm: Callable[[Bench], Measured]) -> Callable[[Bench], Measured]:
    """Return the arm with the start that the rows of a batch share always read in a pass of its own."""

    def measured(bench: Bench) -> Measured:
        answers.LEAST_SAVED = {bench.network.device.type: 0.0}  # this process measures nothing else
        return arm(bench)

    return measured


def freehold(
    bench: Bench,
    lesson: Lesson,
    *,
    tokens: int,
    before: tuple[float, float] = (0.0, 0.0),
) -> Measured:
    """Train the rows twice by our loop, as many at a step as TRL does."""
    size = bench.size
    torch.manual_seed(SPEC.seed)
    lora(bench.network, SPEC, "bfloat16")
    batches = [indices for epoch in (0, 1) for indices in batches_of(lesson, size, epoch)]
    longest = max(lesson.lengths)
    recipe = Recipe(
        learning_rate=LEARNING_RATE,
        epochs=2.0,
        steps=len(batches),
        warmup_steps=1,
        batch_tokens=longest * size.rows_per_step,
        micro_tokens=longest * size.rows_per_step,
        max_length=longest,
        precision="bfloat16",
        evaluate_at=(),
    )
    seen: list[float] = []

    def note(event: TrainEvent) -> None:
        if isinstance(event, Stepped):
            seen.append(event.loss)
            bench.stopwatch.step(event.step)

    with tempfile.TemporaryDirectory() as folder:
        Loop(
            bench.network,
            [
                LossTerm(
                    lesson.name,
                    lesson.objective,
                    lambda step: (lesson.batch(batches[step], step=step),),
                )
            ],
            LoopSpec(
                recipe=recipe,
                key="benchmark",
                checkpoint=Path(folder) / "checkpoint.safetensors",
            ),
            eyes=Eyes(),
            watch=Watch(clock=time.perf_counter, on_event=note),
        ).run()
    return bench.measured(tokens, statistics.mean(seen), before=before)


def batches_of(lesson: Lesson, size: Size, epoch: int) -> tuple[Indices, ...]:
    return length_batches(
        lesson.lengths,
        budget_tokens=10**9,
        max_rows=size.rows_per_step,
        seed=SPEC.seed,
        epoch=epoch,
    )


def trl_sft(bench: Bench, *, sampling: str = "random") -> Measured:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    rows = [
        {
            "input_ids": list(row.ids),
            "completion_mask": [0] * row.answer_start + [1] * (len(row.ids) - row.answer_start),
        }
        for row in bench.rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=adapted(bench.network),
            args=SFTConfig(
                **trl_settings(bench, folder),
                max_length=None,
                completion_only_loss=True,
                train_sampling_strategy=sampling,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(ACORN),
            callbacks=[at_steps(bench)],
        )
        forget_peak(bench.network.device)
        loss = trainer.train().training_loss
    return bench.measured(row_tokens(bench), loss, before=(0.0, 0.0))


def trl_sft_by_length(bench: Bench) -> Measured:
    return trl_sft(bench, sampling="group_by_length")


def trl_dpo(bench: Bench, *, precompute: bool = False) -> Measured:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    spent = [0.0]

    class OfTokens(DPOTrainer):
        """Takes rows that are tokens, and notes how long the reference of all of them took."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return dataset

        def _precompute_ref_logps(self, *arguments: Any, **named: Any) -> Any:
            began = bench.stopwatch.now()
            found = super()._precompute_ref_logps(*arguments, **named)
            spent[0] += bench.stopwatch.now() - began
            return found

    rows = [
        {
            "prompt_ids": list(pair.prompt),
            "chosen_ids": list(pair.chosen),
            "rejected_ids": list(pair.rejected),
        }
        for pair in bench.pairs
    ]
    forget_peak(bench.network.device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = OfTokens(
            model=adapted(bench.network),
            args=DPOConfig(
                **trl_settings(bench, folder),
                beta=BETA,
                max_length=None,
                precompute_ref_log_probs=precompute,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(ACORN),
            callbacks=[at_steps(bench)],
        )
        loss = trainer.train().training_loss
    return bench.measured(pair_tokens(bench), loss, before=(spent[0], 0.0))


def trl_dpo_precomputed(bench: Bench) -> Measured:
    return trl_dpo(bench, precompute=True)


ARMS: Mapping[str, Mapping[str, Callable[[Bench], Measured]]] = {
    "sft": {
        "freehold": freehold_sft,
        "trl": trl_sft,
        "freehold, start read once": start_read_once(freehold_sft),
        "trl, group_by_length": trl_sft_by_length,
    },
    "dpo": {
        "freehold": freehold_dpo,
        "trl": trl_dpo,
        "freehold, start read once": start_read_once(freehold_dpo),
        "trl, precompute_ref_log_probs": trl_dpo_precomputed,
    },
}
COMPARED = ("freehold", "trl")
"""The arms that are repeated; the others run once, where there is time."""


def at_steps(bench: Bench) -> Any:
    from transformers import TrainerCallback

    class AtSteps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del args, control
            bench.stopwatch.step(state.global_step)

    return AtSteps()


def adapted(network: PreTrainedModel) -> Any:
    """Put the same adapter in as PEFT makes it, the same first weights included."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(SPEC.seed)
    config = LoraConfig(
        r=SPEC.r,
        lora_alpha=2 * SPEC.r,
        target_modules=list(target_modules(network, SPEC.layers)),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(network, config)


def trl_settings(bench: Bench, folder: str) -> dict[str, Any]:
    on_cpu = bench.network.device.type == "cpu"
    return {
        "output_dir": folder,
        "use_cpu": on_cpu,
        "bf16": True,
        "per_device_train_batch_size": bench.size.rows_per_step,
        "max_steps": 2 * bench.size.steps,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": 1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": False,  # its default costs a second forward pass
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
        "seed": SPEC.seed,
    }


def door_of(network: PreTrainedModel) -> Network:
    door = Network(network)
    door.prove_masks()
    return door


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else 0.0


def row_tokens(bench: Bench) -> int:
    return sum(len(row.ids) for row in bench.rows)


def pair_tokens(bench: Bench) -> int:
    return sum(2 * len(pair.prompt) + len(pair.chosen) + len(pair.rejected) for pair in bench.pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smoke", action="store_true", help="a tiny network, to try the program")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=90.0, help="no arm begins after these")
    parser.add_argument("--out", type=Path, help="the table, written anew after every training")
    parser.add_argument("--one", nargs=2, help="measure this arm in this process, and print JSON")
    arguments = parser.parse_args()
    size = "smoke" if arguments.smoke else "340M"
    if arguments.one is not None:
        lesson, arm = arguments.one
        warnings.filterwarnings("ignore", category=FutureWarning)
        bench = bench_of(SIZES[size], torch.device(arguments.device))
        print(json.dumps(asdict(ARMS[lesson][arm](bench))))
        return
    began = time.perf_counter()
    found: dict[tuple[str, str], list[Measured]] = {}
    for lesson, arm in turns(arguments.repeats):
        if time.perf_counter() - began > arguments.seconds:
            print(f"no time is left for {lesson} {arm} and what follows", flush=True)
            break
        one = in_a_process(lesson, arm)
        if one is None:
            continue
        found.setdefault((lesson, arm), []).append(one)
        print(f"{time.perf_counter() - began:5.0f} s  {lesson} {arm:30} {one}", flush=True)
        if arguments.out is not None:
            arguments.out.write_text(report(size, arguments.device, found))
    print("\n" + report(size, arguments.device, found))


def turns(repeats: int) -> list[tuple[str, str]]:
    """Return the compared arms in turns, in an order that turns round; then each other arm once."""
    compared = [(lesson, arm) for lesson in ARMS for arm in COMPARED]
    others = [(lesson, arm) for lesson in ARMS for arm in ARMS[lesson] if arm not in COMPARED]
    repeated = [one for repeat in range(repeats) for one in compared[:: -1 if repeat % 2 else 1]]
    return repeated + others


def in_a_process(lesson: str, arm: str) -> Measured | None:
    """Return what an arm measured, None where it failed: the others are still worth having."""
    command = [sys.executable, *sys.argv, "--one", lesson, arm]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{lesson} {arm} failed:\n{done.stderr[-2000:]}", flush=True)
        return None
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def report(size: str, device: str, found: Mapping[tuple[str, str], Sequence[Measured]]) -> str:
    lines = [
        heading(size, device),
        "| lesson | arm | repeats | tokens/s | ms per step | speed of Freehold | peak MiB"
        " | of it weights | memory of Freehold | mean loss |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (lesson, arm), runs in found.items():
        ours = found.get((lesson, "freehold"))
        seconds, peak = median(runs, "seconds"), median(runs, "peak_mib")
        faster = less = ""
        if ours is not None and arm != "freehold":
            faster = f"{seconds / median(ours, 'seconds'):.2f}x"
            less = f"{median(ours, 'peak_mib') / peak:.2f}x" if peak else ""
        lines.append(
            f"| {lesson} | {arm} | {len(runs)} | {runs[0].tokens / seconds:,.0f}"
            f" | {1000 * seconds / SIZES[size].steps:.1f} | {faster}"
            f" | {f'{peak:,.0f}' if peak else 'not measured'} | {runs[0].weights_mib:,.0f}"
            f" | {less} | {median(runs, 'loss'):.3f} |"
        )
    return "\n".join(lines) + "\n"


def heading(size: str, device: str) -> str:
    import peft
    import transformers
    import trl

    shape = SIZES[size]
    where = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU"
    return (
        f"{where}, {time.strftime('%Y-%m-%d')}; torch {torch.__version__}, transformers"
        f" {transformers.__version__}, peft {peft.__version__}, trl {trl.__version__}. Random Llama"
        f" ({size}, vocabulary {shape.network['vocab_size']:,}), bfloat16 base, float32 LoRA"
        f" r={SPEC.r} on {SPEC.layers}, {shape.rows} rows or pairs,"
        f" {shape.rows_per_step} per step, prompts of {shape.prompt[0]} to {shape.prompt[1]} tokens"
        f" ({shape.start} the same in all), answers of {shape.answer[0]} to {shape.answer[1]}.\n"
    )


def median(runs: Sequence[Measured], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


if __name__ == "__main__":
    main()
