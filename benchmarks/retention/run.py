# pyright: basic
"""Retention side by side: naive LoRA, naive at its best scale, TRL with replay, PEFT's OSF, and Freehold.

    python benchmarks/retention/run.py --data ../shared/data                  all of it; typed again, it resumes
    python benchmarks/retention/run.py --data ../shared/data --smoke          a minute, to see that it runs
    python benchmarks/retention/run.py --table                                RESULTS.md from cells.jsonl alone

The work is divided into cells that `--workers` processes share; each finished cell is one line of
`cells.jsonl` in `--out`. `--minutes` ends the run in time: what is not finished is done by the next call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cells import (  # noqa: E402
    LADDER_OF,
    ORDERS,
    SINGLE_ARMS,
    SINGLE_DOMAINS,
    SMOKE,
    Cell,
    Found,
    Sizes,
    best_factor,
    first_of_each,
    ladder_ids,
    plan,
    read_lines,
    unpack,
)

TIMED = SINGLE_DOMAINS


def main() -> None:
    arguments = _arguments()
    if arguments.table:
        from table import write_table

        write_table(
            read_lines([arguments.out / "cells.jsonl", *arguments.done]), HERE / "RESULTS.md"
        )
        return
    Run(arguments).go()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument(
        "--done", type=Path, nargs="*", default=[], help="more cells.jsonl to resume"
    )
    parser.add_argument("--work", type=Path, default=Path("build/retention"))
    parser.add_argument("--base", nargs="*", default=["freehold/acorn"], help="ids or folders")
    parser.add_argument("--sequence-base", nargs="*", default=["acorn"])
    parser.add_argument("--arms", nargs="*", default=list(SINGLE_ARMS), choices=SINGLE_ARMS)
    parser.add_argument("--kinds", nargs="*", default=["start", "ladder", "single", "stage"])
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of cells")
    for name in ("rows", "dev", "test", "sequence-test", "probes", "dev-probes", "pool", "seeds"):
        parser.add_argument(f"--{name}", type=int, help="instead of the default; keep --out apart")
    parser.add_argument("--epochs", type=float, help="instead of three, or what 300 steps need")
    parser.add_argument(
        "--ours",
        default="{}",
        help='other settings of ours as JSON, {"retention": {"curvature": 0}}; keep --out apart',
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--timing", action="store_true", help="trainings alone, --seeds times")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


class Run:
    """One call: cells that are ready go to processes, their lines go to the file as they come."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from work import Place

        self.began = time.monotonic()
        self.arguments = arguments
        given = {field: getattr(arguments, field) for field in Sizes.__dataclass_fields__}
        self.sizes = replace(
            SMOKE if arguments.smoke else Sizes(),
            **{field: value for field, value in given.items() if value is not None},
        )
        bases = {Path(name).name: name for name in arguments.base}
        work = arguments.work / ("smoke" if arguments.smoke else "full")  # pools differ in size
        self.place = Place(
            data=arguments.data,
            work=work,
            bases=bases,
            sizes=self.sizes,
            device=arguments.device or _device(),
            ours=arguments.ours,
        )
        arguments.out.mkdir(parents=True, exist_ok=True)
        self.file = arguments.out / "cells.jsonl"
        self.found = read_lines([*arguments.done, self.file])
        if arguments.done:
            # What a call returns is whole: lines of earlier calls stand before the new ones.
            lines = [json.dumps(line) for line in self.found.values()]
            self.file.write_text("".join(f"{line}\n" for line in lines))
        self.failed: dict[str, str] = {}

    def go(self) -> None:
        cells = self._times() if self.arguments.timing else self._cells()
        waiting = [cell for cell in cells if not self._is_done(cell)]
        workers = self.arguments.workers
        print(f"{len(waiting)} of {len(cells)} cells to do, {workers} workers", flush=True)
        context = multiprocessing.get_context("spawn")
        from work import open_worker

        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=open_worker, initargs=(self.place,)
        )
        running: dict[Future[Found], Cell] = {}
        while waiting or running:
            if self._is_late():
                break
            self._submit(pool, waiting, running, workers=workers)
            if not running:
                print("nothing more can run", *(cell.id for cell in waiting), flush=True)
                break
            done, _ = wait(running, timeout=5, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(running.pop(future), future)
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        left = len(waiting) + len(running)
        print(
            f"{left} cells left, {len(self.failed)} failed, {self._minutes():.1f} minutes",
            flush=True,
        )
        os._exit(1 if self.failed else 0)

    def _cells(self) -> list[Cell]:
        chosen = plan(
            list(self.place.bases),
            sequence_bases=self.arguments.sequence_base,
            arms=self.arguments.arms,
            seeds=self.sizes.seeds,
        )
        only = self.arguments.only
        cells = [
            cell
            for cell in chosen
            if cell.kind in self.arguments.kinds
            and (not only or cell.kind == "start" or any(part in cell.id for part in only))
        ]
        ids = {cell.id for cell in cells} | self.found.keys()
        # What this call leaves out is not waited for: a learning rate is then the default.
        return [
            replace(cell, needs=tuple(need for need in cell.needs if need in ids)) for cell in cells
        ]

    def _times(self) -> list[Cell]:
        """Return trainings to be timed, without measuring; the arms take turns."""
        return [
            Cell("time", base, domain, arm, seed=repeat)
            for base in self.place.bases
            for repeat in range(self.sizes.seeds)
            for domain in TIMED
            for arm in self.arguments.arms
        ]

    def _is_done(self, cell: Cell) -> bool:
        """A stage is done when its weights are there for the next one, or when no next one is left."""
        from work import pool_file, state_file

        if cell.id not in self.found:
            return False
        if cell.kind == "start":
            start = self.found[cell.id]
            held = len(unpack(start["dev_probes"])) // len(start["families"])
            has_pool = pool_file(self.place.work, cell.base, "replay").exists()
            return has_pool and held >= self.sizes.dev_probes
        if cell.kind != "stage" or cell.stage == len(ORDERS[cell.place]):
            return True
        last = replace(cell, stage=len(ORDERS[cell.place]))
        return last.id in self.found or state_file(self.place.work, cell).exists()

    def _submit(
        self,
        pool: ProcessPoolExecutor,
        waiting: list[Cell],
        running: dict[Future[Found], Cell],
        *,
        workers: int,
    ) -> None:
        from work import run_cell

        unfinished = {cell.id for cell in waiting} | {cell.id for cell in running.values()}
        for cell in list(waiting):
            if len(running) >= workers:
                return
            lost = [need for need in cell.needs if need in self.failed]
            if lost:
                self.failed[cell.id] = f"needs {lost[0]}"
                waiting.remove(cell)
                continue
            ready = all(need in self.found and need not in unfinished for need in cell.needs)
            if ready:
                waiting.remove(cell)
                running[pool.submit(run_cell, cell, self._known(cell))] = cell

    def _known(self, cell: Cell) -> Found:
        """Return what a cell needs of others: its learning rate, and the base on the dev probes."""
        if cell.kind == "start":
            return {}
        domain = ORDERS[cell.place][cell.stage - 1] if cell.kind == "stage" else cell.place
        known: Found = {}
        if f"start/{cell.base}" in self.found:
            start = self.found[f"start/{cell.base}"]
            kinds = len(start["families"])
            read = first_of_each(unpack(start["dev_probes"]), kinds, self.sizes.dev_probes)
            known["dev_probes"] = [bool(bit) for bit in read]
        if cell.kind != "ladder":
            ladder = ladder_ids(cell.base, domain, cell.arm)
            is_known = all(name in self.found for name in ladder)
            known["factor"] = (
                best_factor(self.found, base=cell.base, domain=domain, arm=cell.arm)
                if is_known
                else {"naive": 1.0, "osf": 2.0}[LADDER_OF[cell.arm]]
            )
        return known

    def _take(self, cell: Cell, future: Future[Found]) -> None:
        error = future.exception()
        if error is not None:
            self.failed[cell.id] = repr(error)
            lines = traceback.format_exception(error)
            with (self.arguments.out / "errors.txt").open("a") as file:
                file.write(f"{cell.id}\n{''.join(lines)}\n")
            print(f"{self._minutes():5.1f} FAILED {cell.id}: {error!r}"[:400], flush=True)
            return
        line = future.result()
        self.found[cell.id] = line
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(
            f"{self._minutes():5.1f} {cell.id}: {line['cell_seconds']:.0f} s,"
            f" trained {line.get('seconds', 0):.0f} s",
            flush=True,
        )

    def _minutes(self) -> float:
        return (time.monotonic() - self.began) / 60

    def _is_late(self) -> bool:
        return self._minutes() >= self.arguments.minutes


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    main()
