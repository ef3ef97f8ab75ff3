# pyright: basic
"""Answers from documents: found, cited, refused where there is none. Writes RESULTS.md.

    python benchmarks/decide/documents/run.py --data ../shared/data [--only "code, hybrid"] [--test N]

xquad_en becomes a task with documents. Every fifth document is taken away, so that its questions have no
answer left; other paragraphs of the same article stay, which makes them hard to tell. Two things answer in the
retrieve rung: `code` says the sentence of the passages that shares most rare words with the question, and
`acorn` is the bundled model. `figures.json` keeps the figures of both, so that one can be measured by itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.measure import Run, RungResult
from freehold.core.message import Message
from freehold.core.taskfile import parse_task_file
from freehold.evaluate.support import content_words
from freehold.evaluate.unanswerable import Coverage
from freehold.ladder.climb import climb
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.tools import Models
from freehold.models.scripted import ScriptedModel
from freehold.report.documents import MEANINGS, figure_name, figures_of
from freehold.store.store import Store

HERE = Path(__file__).parent
SEED = 7
NO_ANSWER = "I do not know"
RUNS = ("code, hybrid", "code, words", "code, meaning", "acorn, hybrid")
TASK = """task: xquad
instruction: Answer the question from the passages, in as few words as possible.
data:
  examples: questions.jsonl
  documents: documents.jsonl
  document_column: document
  split: {{test: {test}, dev: {dev}, audit: 0, seed: 7, group_by: page}}
output: {{unanswerable: {no_answer}}}
metric: token_f1
bar: {{quality: 0.5}}
ladder:
  rungs: [retrieve]
  retrieve: {{from: [documents], passages: [{passages}], how: {how}}}
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_task(
    data: Path, root: Path, *, test: int, passages: int, how: str = "hybrid"
) -> Prepared:
    """Write xquad_en without every fifth document as a project, and prepare it."""
    documents = rows_of(data / "xquad_en" / "documents.jsonl")
    ids = sorted(document["id"] for document in documents)
    random.Random(SEED).shuffle(ids)
    gone = set(ids[::5])
    questions = [
        {
            "id": row["id"],
            "input": row["input"],
            "target": NO_ANSWER if row["document"] in gone else row["target"],
            "document": "" if row["document"] in gone else row["document"],
            "page": row["document"],
        }
        for row in rows_of(data / "xquad_en" / "questions.jsonl")
    ]
    write_rows(root / "documents.jsonl", [one for one in documents if one["id"] not in gone])
    write_rows(root / "questions.jsonl", questions)
    text = TASK.format(
        test=test, dev=min(200, test), passages=passages, how=how, no_answer=NO_ANSWER
    )
    return prepare(parse_task_file(text), root=root)


class BestSentence:
    """Says the sentence of the passages that shares most with the question, rare words first, and cites it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.coverage = Coverage.of(texts)

    def __call__(self, messages: Sequence[Message]) -> str:
        context, _, question = messages[-1].content.partition("\n\nQuestion: ")
        best, said = -1.0, ""
        for part in re.split(r"(?:\n\n|^Context: )(?=\[\d+\])", context):
            found = re.match(r"\[(\d+)\]\s*", part)
            if not found:
                continue
            # A passage begins with its title, on a line of its own.
            for sentence in re.split(r"(?<=[.!?])\s+|\n+", part[found.end() :]):
                share = self.coverage.of_question(question, [sentence])
                if share > best and len(content_words(sentence)) > 3:
                    best, said = share, f"{sentence.strip()} [{found[1]}]"
        return said or NO_ANSWER


def measured(prepared: Prepared, models: Models, root: Path) -> tuple[RungResult, Run, float]:
    started = time.monotonic()
    with Store.open(root, clock=lambda: datetime.now(UTC)) as store:
        outcome = climb(prepared, store=store, models=models, clock=time.monotonic)
        result = outcome.climb.rung("retrieve")
        if result.run_digest is None:
            raise SystemExit(result.reason)
        return result, store.get(result.run_digest, Run), time.monotonic() - started


def figures(data: Path, *, who: str, test: int, passages: int, how: str = "hybrid") -> dict:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepared = write_task(data, root, test=test, passages=passages, how=how)
        model = ScriptedModel(BestSentence([one.text for one in prepared.documents]))
        opened = Models(cache=root, open_base=(lambda _: model) if who == "code" else None)
        result, run, seconds = measured(prepared, opened, root)
        opened.close()
        return figures_row(result, run, seconds, who=who, how=how)


def figures_row(result: RungResult, run: Run, seconds: float, *, who: str, how: str) -> dict:
    shown = result.documents
    assert shown is not None
    assert result.quality is not None
    rows = {
        name: {
            "name": figure_name(name, shown),
            "mean": value.mean,
            "low": value.low,
            "high": value.high,
            "n": value.n,
        }
        for name, value in figures_of(shown).items()
    }
    said = {one.example_id: one.answer for one in run.results if one.answer is not None}
    return {
        "who": who,
        "how": how,
        "k": shown.k,
        "claims": shown.claims,
        "quality": result.quality.mean,
        "n": result.quality.n,
        "causes": dict(result.causes),
        "seconds": seconds,
        "refused": sum(answer.value == NO_ANSWER for answer in said.values()),
        "attributed": sum(
            any(c.by == "attributed" for c in answer.citations) for answer in said.values()
        ),
        "rows": rows,
    }


def results(kept: dict[str, dict]) -> str:
    columns = list(kept)
    lines = [
        "# Answers from documents",
        "",
        "    python benchmarks/decide/documents/run.py --data ../shared/data",
        "",
        "xquad_en, every fifth document taken away, so that its questions have no answer left (other paragraphs of"
        " the same article stay). `code` says the best sentence of the passages; `acorn` is the bundled model."
        " Means with 95 % intervals on the test rows; the threshold below which a question is answered as"
        " unanswerable was chosen on dev, and all questions of a paragraph are in one split.",
        "",
        "| figure | " + " | ".join(columns) + " | what it says |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for name, meaning in MEANINGS.items():
        if not any(name in kept[column]["rows"] for column in columns):
            continue
        label = next(
            kept[c]["rows"][name]["name"] for c in columns if name in kept[c]["rows"]
        ).split("@")[0]
        cells = [cell(kept[column]["rows"].get(name)) for column in columns]
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {meaning} |")
    lines += [
        "| score (token F1) | "
        + " | ".join(f"{kept[c]['quality']:.3f}" for c in columns)
        + " | the task's metric |",
        "| passages shown | " + " | ".join(str(kept[c]["k"]) for c in columns) + " | |",
        "| test rows | " + " | ".join(str(kept[c]["n"]) for c in columns) + " | |",
        "| claims | " + " | ".join(str(kept[c]["claims"]) for c in columns) + " | |",
        "| causes of wrong answers | "
        + " | ".join(
            ", ".join(f"{cause} {times}" for cause, times in kept[c]["causes"].items())
            for c in columns
        )
        + " | |",
        "| seconds, all in all | "
        + " | ".join(f"{kept[c]['seconds']:.0f}" for c in columns)
        + " | |",
        "",
        f"Measured on {platform.machine()}, 2 cores shared with other work, Python {platform.python_version()}.",
        "",
        NOTES.strip(),
        "",
    ]
    return "\n".join(lines)


def cell(row: dict | None) -> str:
    if row is None:
        return "-"
    return f"{row['mean']:.3f} [{row['low']:.3f} {row['high']:.3f}] n={row['n']}"


NOTES = """
What to read from it: the answer F1 of `code` is that of whole sentences against answers of a few words, so it is low
by its nature, while its claims are copies and must be supported: its faithfulness says how far the rule of support
is right on copies. Retrieval, refusals and causes do not depend on who answers, but for the threshold, which each
chooses for itself on dev: refusing pays sooner for who answers badly. `code` writes its mark at the end of a sentence, and
loses it where the sentence is longer than answers of this task may be (`truncated`); those answers are attributed.
`acorn` cannot answer such questions: hardly a word is right, and the figures say so (nearly every claim is unsupported).
The task's bar is met by nobody here.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=RUNS)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--acorn-test", type=int, default=60)
    arguments = parser.parse_args()
    file = HERE / "figures.json"
    for name in RUNS if arguments.only is None else (arguments.only,):
        who, how = name.split(", ")
        test = arguments.test if who == "code" else arguments.acorn_test
        found = figures(arguments.data, who=who, test=test, passages=3, how=how)
        kept: dict[str, dict] = json.loads(file.read_text()) if file.exists() else {}
        kept = {one: {**kept, name: found}[one] for one in RUNS if one in kept or one == name}
        file.write_text(json.dumps(kept, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(results(kept))
    print((HERE / "RESULTS.md").read_text())


if __name__ == "__main__":
    main()
