# pyright: basic
"""Endpoints against two real engines with acorn: `transformers serve` and the server of llama.cpp, on loopback.

    OMP_NUM_THREADS=1 python benchmarks/decide/endpoints/run.py --servers PYTHON

PYTHON is the interpreter of an environment that has torch, `transformers[serving]`, xllamacpp and gguf; the servers
run there, offline. RESULTS.md beside this file is written by this script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freehold import __version__
from freehold.core.message import Message, system, user
from freehold.core.outcome import Failed
from freehold.core.sections import BaseModelSpec, UserEndpoint
from freehold.models.door import Constraint, Generation, Model, OneOf
from freehold.models.endpoints import Endpoints
from freehold.models.opening import open_model
from freehold.models.sources import find_model

HERE = Path(__file__).parent
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/decide/endpoints/run.py --servers PYTHON"
PROMPTS, MAX_TOKENS = 100, 12
RUNGS = "[zero_shot, few_shot, structured, retrieve]"
SPLITS = {"data.split.test": 20, "data.split.dev": 8, "data.split.audit": 8}
OTHERS = {
    "ladder.rungs": RUNGS,
    "ladder.few_shot.k": [4],
    "ladder.structured.k": [0],
    "ladder.retrieve.k": [4],
    "ladder.stop": "full",
    "diagnose.unstable": 0,
}
PACKAGES = ("transformers", "torch", "fastapi", "uvicorn", "openai", "xllamacpp", "gguf")
START_SECONDS = 180.0


@dataclass(frozen=True)
class Engine:
    """A server that runs: what it is called here, its url, and its name of the model."""

    name: str
    url: str
    model: str

    def spec(self, **changes: object) -> UserEndpoint:
        return UserEndpoint(**{"url": self.url, "model": self.model, "retries": 1, **changes})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", type=Path, default=Path(sys.executable))
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--no-climbs", action="store_true")
    arguments = parser.parse_args()
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        project = example_project(work)
        prompts, labels = asked(project, arguments.prompts)
        local = answers_here(prompts, labels)
        rows, climbs = [local], []
        versions = versions_of(arguments.servers)
        for serve in (transformers_serve, llama_server):
            with serve(arguments.servers, work) as engine:
                rows += compared(engine, prompts, labels, local=local)
                if not arguments.no_climbs:
                    climbs.append(climb_on(engine, project, work))
            write_page(rows, climbs, versions, started=started)
        if not arguments.no_climbs:
            climbs.insert(0, climb_here(project, work))
            write_page(rows, climbs, versions, started=started)


def write_page(
    rows: list[dict], climbs: list[dict], versions: dict[str, str], *, started: datetime
) -> None:
    page = written(rows, climbs, versions, started=started)
    (HERE / "RESULTS.md").write_text(page, encoding="utf-8")


# The prompts ---------------------------------------------------------------------------------


def example_project(work: Path) -> Path:
    freehold(["init", "--example", "ticket-routing"], work, work)
    return work / "ticket-routing"


def asked(project: Path, count: int) -> tuple[list[tuple[Message, ...]], list[str]]:
    """Return the prompts: every other one free, the rest with the labels named; and the labels."""
    lines = (project / "data" / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    labels = sorted({row["queue"] for row in rows})
    told = (
        f"Route the support ticket to exactly one queue.\nAnswer with one of: {', '.join(labels)}."
    )
    prompts = []
    for number, row in enumerate(rows[:count]):
        named = (system(told), user(row["text"]))
        prompts.append(named if number % 2 else (user(f"Reply to this ticket. {row['text']}"),))
    return prompts, labels


# One engine against the local door -----------------------------------------------------------


def answers_here(prompts: list[tuple[Message, ...]], labels: list[str]) -> dict:
    model = open_model(BaseModelSpec(), cache=Path("nowhere"))
    model.generate(prompts[:2], max_tokens=2)
    try:
        free, seconds = timed(model, prompts, None)
        held, held_seconds = timed(model, prompts, OneOf(labels=tuple(labels)))
    finally:
        model.close()
    return {
        "name": "the local door",
        "free": free,
        "held": held,
        "per_second": len(prompts) / seconds,
        "held_per_second": len(prompts) / held_seconds,
    }


def compared(
    engine: Engine, prompts: list[tuple[Message, ...]], labels: list[str], *, local: dict
) -> list[dict]:
    """Return what an engine answers and how fast, one request at a time and eight at once."""
    rows = []
    for concurrency in (1, 8):
        endpoints = Endpoints({"far": engine.spec(concurrency=concurrency)})
        far = endpoints.open("far")
        assert far.digest  # the fixed prompts are asked here, outside the timing
        free, seconds = timed(far, prompts, None)
        row = {
            "name": f"{engine.name}, {concurrency} at once",
            "free": free,
            "per_second": len(prompts) / seconds,
            "equal": shared(local["free"], free),
            "tokens": sum_of_tokens(free) == sum_of_tokens(local["free"]),
            "differing": first_differing(local["free"], free),
        }
        if concurrency == 8:
            held, held_seconds = timed(far, prompts, OneOf(labels=tuple(labels)))
            row["held_per_second"] = len(prompts) / held_seconds
            row["held_equal"] = shared(local["held"], held)
            row["on_the_list"] = sum(text(one) in labels for one in held) / len(held)
        row["notes"] = endpoints.notes()
        row["spending"] = endpoints.spending()
        endpoints.close()
        rows.append(row)
    return rows


def timed(
    model: Model, prompts: Sequence[tuple[Message, ...]], constraint: Constraint | None
) -> tuple[list[Generation | Failed], float]:
    began = time.perf_counter()
    found = model.generate(prompts, max_tokens=MAX_TOKENS, constraint=constraint)
    return list(found), time.perf_counter() - began


def text(result: Generation | Failed) -> str:
    return result.text if isinstance(result, Generation) else f"failed: {result.message}"


def shared(first: Sequence[Generation | Failed], second: Sequence[Generation | Failed]) -> float:
    return sum(text(a) == text(b) for a, b in zip(first, second, strict=True)) / len(first)


def sum_of_tokens(results: Sequence[Generation | Failed]) -> int:
    return sum(one.prompt_tokens for one in results if isinstance(one, Generation))


def first_differing(
    local: Sequence[Generation | Failed],
    far: Sequence[Generation | Failed],
) -> list[str]:
    """Return the first answers that differ, with the tokens that each counted in the prompt."""
    lines = []
    for place, (a, b) in enumerate(zip(local, far, strict=True)):
        if text(a) != text(b):
            counts = [one.prompt_tokens if isinstance(one, Generation) else 0 for one in (a, b)]
            lines.append(f"prompt {place}: {text(a)!r} here, {text(b)!r} there; tokens {counts}")
    return lines


# Whole climbs, by the command ----------------------------------------------------------------


def climb_here(project: Path, work: Path) -> dict:
    return climbed("the local door", "freehold/acorn", project, work=work)


def climb_on(engine: Engine, project: Path, work: Path) -> dict:
    settings = work / "config" / "freehold"
    settings.mkdir(parents=True, exist_ok=True)
    spec = {
        **engine.spec(concurrency=8).model_dump(exclude_none=True),
        "dollars_per_million_input_tokens": 0.6,
        "dollars_per_million_output_tokens": 1.8,
    }
    (settings / "config.yaml").write_text(json.dumps({"endpoints": {"far": spec}}))
    return climbed(engine.name, "far", project, work=work)


def climbed(name: str, model: str, project: Path, *, work: Path) -> dict:
    """Climb twice: the second time in a new store beside the old answers, so that it is free."""
    sets = {"model": model, **OTHERS, **SPLITS}
    command = ["climb", "--json", *[f"-s{k}={v}" for k, v in sets.items()]]
    runs = []
    for _ in range(1 if model == "freehold/acorn" else 2):
        began = time.perf_counter()
        shape = json.loads(freehold(command, project, work))
        runs.append({"seconds": time.perf_counter() - began, "shape": shape})
        for file in (project / ".freehold").glob("*"):
            if not file.name.startswith("endpoints.db"):
                subprocess.run(["rm", "-r", str(file)], check=True)
    for file in (project / ".freehold").glob("*"):
        file.unlink()
    return {"name": name, "runs": runs}


def freehold(arguments: list[str], folder: Path, work: Path) -> str:
    places = {"CONFIG": "config", "STATE": "state", "CACHE": "cache"}
    environment = os.environ | {f"XDG_{k}_HOME": str(work / v) for k, v in places.items()}
    done = subprocess.run(
        [sys.executable, "-m", "freehold", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout or done.returncode == 2:
        raise SystemExit(f"freehold {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


# The servers ---------------------------------------------------------------------------------


@contextmanager
def transformers_serve(python: Path, work: Path) -> Iterator[Engine]:
    folder, port = find_model(BaseModelSpec(), cache=Path("nowhere")).folder, free_port()
    command = [str(python), "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--dtype", "float32", "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    cache = work / "hub"
    cache.mkdir(exist_ok=True)
    with running(command, work / "transformers.log", HF_HUB_CACHE=str(cache)):
        wait_for(f"http://127.0.0.1:{port}/health", work / "transformers.log")
        yield Engine("transformers serve", f"http://127.0.0.1:{port}/v1", str(folder))


@contextmanager
def llama_server(python: Path, work: Path) -> Iterator[Engine]:
    folder, port = find_model(BaseModelSpec(), cache=Path("nowhere")).folder, free_port()
    file = work / "acorn.gguf"
    convert = "import sys; from pathlib import Path; import gguf_file; gguf_file.write_gguf(*map(Path, sys.argv[1:]))"
    subprocess.run([str(python), "-c", convert, str(folder), str(file)], cwd=HERE, check=True)
    command = [str(python), str(HERE / "serve_llama.py"), str(file), "acorn", str(port)]
    with running(command, work / "llama.log"):
        wait_for(f"http://127.0.0.1:{port}/health", work / "llama.log")
        yield Engine("llama.cpp server", f"http://127.0.0.1:{port}/v1", "acorn")


@contextmanager
def running(command: list[str], log: Path, **more: str) -> Iterator[None]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", **more}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{url} does not answer: {log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def versions_of(python: Path) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json, sys\n"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [str(python), "-c", code, *PACKAGES], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


# The page ------------------------------------------------------------------------------------


def written(
    rows: list[dict], climbs: list[dict], versions: dict[str, str], *, started: datetime
) -> str:
    local, others = rows[0], rows[1:]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "# Endpoints against real engines",
        "",
        f"    {COMMAND}",
        "",
        f"Freehold {__version__}, {started:%Y-%m-%d}; {named}; Python {platform.python_version()},"
        f" {os.cpu_count()} CPU cores that other work shared (load {os.getloadavg()[1]:.1f}), no GPU.",
        "",
        "The bundled acorn model in float32 behind `transformers serve` (no batching, greedy by temperature 0) and behind"
        " the HTTP server of llama.cpp (from a GGUF file that `gguf_file.py` writes; four slots; the wheel of xllamacpp,"
        " which is llama.cpp's own C++ server in a Python extension). Servers and Freehold run on the same cores.",
        "",
        f"## {len(local['free'])} prompts, greedy, at most {MAX_TOKENS} tokens",
        "",
        "Half of them name the labels, half ask for free text. `equal`: the text is the same, byte for byte, as that of the"
        " local door. `held`: the answer is asked for as one of the labels by `response_format`. The local door holds the words"
        " themselves to the labels, a server holds the model to JSON around them, which acorn was never taught: these are"
        " two questions, and their answers need not be equal.",
        "",
        "| engine | answers per second | equal | failed | held: per second | held: on the list | held: equal |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        row_of(local),
        *(row_of(row) for row in others),
        "",
    ]
    for row in others:
        lines += [f"{row['name']}: {note}." for note in row["notes"]]
        kinds = "the same" if row["tokens"] else "other"
        lines.append(
            f"{row['name']}: {len(row['differing'])} answers differ; the server counts {kinds} tokens in the prompts"
            " as the local tokenizer."
        )
        lines += [f"- {line}" for line in row["differing"][:4]]
        lines.append("")
    if climbs:
        lines += climbs_of(climbs)
    return "\n".join(lines) + "\n"


def row_of(row: dict) -> str:
    def share(key: str) -> str:
        return f"{row[key]:.2f}" if key in row else ""

    def speed(key: str) -> str:
        return f"{row[key]:.1f}" if key in row else ""

    failed = sum(isinstance(one, Failed) for one in row["free"])
    cells = (
        row["name"],
        speed("per_second"),
        share("equal"),
        str(failed),
        speed("held_per_second"),
        share("on_the_list"),
        share("held_equal"),
    )
    return f"| {' | '.join(cells)} |"


def climbs_of(climbs: list[dict]) -> list[str]:
    shown = ", ".join(f"{value} {key.rsplit('.', 1)[1]}" for key, value in SPLITS.items())
    lines = [
        "## A whole climb with four rungs",
        "",
        f"`freehold climb` on the ticket-routing example ({shown} rows), twice: the second time the store is"
        " deleted and the answers of the endpoint are kept. Prices of tokens: $0.60 in, $1.80 out per million.",
        "",
        "| engine | zero_shot | few_shot | structured | retrieve | seconds | second time | endpoints |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in climbs:
        runs = one["runs"]
        cells = [told_of(rung) for rung in runs[0]["shape"]["rungs"]]
        notes = [
            note.removeprefix("endpoints: ")
            for run in runs
            for note in run["shape"]["why"]
            if note.startswith("endpoints: ")
        ]
        times = [f"{run['seconds']:.0f}" for run in runs] + [""] * (2 - len(runs))
        lines.append(f"| {' | '.join([one['name'], *cells, *times, ' **then** '.join(notes)])} |")
    return [*lines, ""]


def told_of(rung: dict) -> str:
    if rung["state"] != "measured":
        return f"{rung['state']}: {rung['reason']}"
    quality = rung["quality"]
    causes = ", ".join(f"{name} {count}" for name, count in (rung.get("causes") or {}).items())
    return f"{quality['mean']:.2f} (n={quality['n']}) {rung['verdict']}" + (
        f"; {causes}" if causes else ""
    )


if __name__ == "__main__":
    main()
