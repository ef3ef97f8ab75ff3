"""A labelling page on a real port, in a thread of this process, with decisions on a real disk."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import JsonValue

from freehold.core.message import assistant, system, user
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, TextOutput
from freehold.data.labelling import (
    Decision,
    DecisionLog,
    Exported,
    Standing,
    Suggester,
    Suggestion,
    corrected_rows,
    disputed_rows,
    export,
    item_key,
    items_of,
    labelled_rows,
    read_decisions,
)
from freehold.web.labelling.app import labelling_app
from freehold.web.labelling.desk import Desk, Work
from freehold.web.listening import address_of, open_port, port_of, server_of

SECONDS = 10.0
QUEUES = ("billing", "refunds", "sales", "tech")
TEXTS = (
    ("I was charged twice for my invoice", "billing"),
    ("please send my money back", "refunds"),
    ("the app crashes when I log in", "tech"),
    ("how much is the large plan?", "sales"),
    ("the invoice names the wrong company", "billing"),
)
SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "queue": {"enum": list[JsonValue](QUEUES)},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["queue", "urgency"],
    "additionalProperties": False,
}
LABELS = LabelOutput(labels=QUEUES)
JSON = JsonOutput(json_schema=SCHEMA)
TEXT = TextOutput()


def rows(count: int = len(TEXTS), *, target: bool = False) -> tuple[Example, ...]:
    """Return rows to label; the first is the one that is least sure (see `sure`)."""
    made: list[Example] = []
    for number in range(count):
        text, label = TEXTS[number % len(TEXTS)]
        suffix = "" if number < len(TEXTS) else f" ({number})"
        made.append(
            Example(
                id=f"r{number + 1}",
                input=text + suffix,
                target=label if target else None,
                source="inbox.jsonl",
                row=number + 1,
            )
        )
    return tuple(made)


def sure(answers: Sequence[JsonValue], labels: Sequence[str] = QUEUES) -> Suggester:
    """Return a suggester that gives `answers` in the order of the rows, surer and surer: the first is asked first."""

    def suggest(
        waiting: Sequence[Example], labelled: Sequence[Example]
    ) -> Iterable[tuple[str, Suggestion]]:
        del labelled
        for example in sorted(waiting, key=lambda row: row.row):
            place = example.row - 1
            answer = answers[place % len(answers)]
            probability = 0.5 + 0.49 * place / max(1, len(waiting))
            likely: list[tuple[str, float]] = []
            if isinstance(answer, str) and answer in labels:
                rest = [label for label in labels if label != answer]
                share = (1 - probability) / len(rest)
                likely = [(answer, probability), *((label, share) for label in rest)]
            yield (
                item_key(example),
                Suggestion(
                    answer=answer, by="c1/lora", probability=probability, likely=tuple(likely[:9])
                ),
            )

    return Suggester(name="c1/lora", suggest=suggest)


@dataclass
class Served:
    """A running page: its address, and the project folder that it writes to."""

    address: str
    project: Path
    desk: Desk

    @property
    def log(self) -> Path:
        return self.project / ".freehold/labels/decisions.jsonl"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return read_decisions(self.log)

    def written(self, name: str = "labels.jsonl") -> list[dict[str, JsonValue]]:
        lines = (self.project / "data" / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


class Clock:
    """Seconds that pass one by one."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def wait_until(desk: Desk, is_so: Callable[[Desk], bool]) -> None:
    """Wait for the thread of suggestions; fails after some seconds."""
    for _ in range(int(SECONDS * 100)):
        if is_so(desk):
            return
        time.sleep(0.01)
    raise TimeoutError("it did not come")


@contextmanager
def a_desk(
    project: Path,
    *,
    output: Output = LABELS,
    examples: Sequence[Example] = (),
    suggester: Suggester | None = None,
    instruction: str = "Route the support ticket to exactly one queue.",
) -> Generator[Desk]:
    """A desk with its log open and its suggestions made, if any."""
    examples = tuple(examples) or rows()
    is_review = all(example.target is not None for example in examples)

    def write(now: Standing) -> Exported:
        chosen = corrected_rows if is_review else labelled_rows
        return export(
            answered=chosen(examples, now),
            disputed=disputed_rows(examples, now),
            path=project / "data/labels.jsonl",
            root=project,
        )

    with DecisionLog(project / ".freehold/labels/decisions.jsonl") as log:
        work = Work("ticket-routing", instruction, output, items_of(examples))
        with Desk(work, log=log, clock=Clock(), export=write, suggester=suggester) as desk:
            yield desk


@contextmanager
def served(
    project: Path,
    *,
    output: Output = LABELS,
    examples: Sequence[Example] = (),
    suggester: Suggester | None = None,
    labeller: str | None = "ann",
) -> Generator[Served]:
    """Serve a page on a free port of loopback."""
    with a_desk(project, output=output, examples=examples, suggester=suggester) as desk:
        listener = open_port(0)
        listener.listen()
        app = labelling_app(desk, port=port_of(listener), labeller=labeller, suggested_name="ann")
        server = server_of(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(address_of(listener), project, desk)
        finally:
            server.should_exit = True
            thread.join(10)
            listener.close()


def a_chat() -> Example:
    """A row with a context, earlier turns, other columns, and characters that could break a page."""
    return Example(
        id="chat",
        input="Is <b>that</b> covered? \u202e\"quoted\" & 'more'",
        target=None,
        context="Our policy: every order can be returned within 30 days.\n\n" * 3,
        history=(
            system("Be brief."),
            user("My parcel came late and the box was open."),
            assistant("I am sorry to hear that. What is the order number?"),
        ),
        source="inbox.jsonl",
        row=1,
        fields={"language": "en", "customer": "<script>alert(1)</script>"},
    )
