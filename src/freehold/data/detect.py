"""Tell what kind of task the examples are: a closed list of labels, JSON objects, or free text.

The rules, which docs/data.md explains to users:

- JSON: every target is a JSON object or list.
- Labels: every target is a short text (60 characters, one line), there are at most 300 different
  ones and at most a third as many as rows, and at least 9 of 10 rows have a target that occurs more
  than once. One more: with two different answers or fewer, the number of rows does not matter.
- Free text otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.record import Record
from freehold.core.sections import MetricName, MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, TextOutput
from freehold.data.json_schema import infer_schema
from freehold.data.read import Reading

MOST_LABELS = 300
LONGEST_LABEL = 60
ROWS_PER_LABEL = 3
REPEATED_SHARE = 0.9
SHORT_ANSWER_WORDS = 12

Kind: TypeAlias = Literal["labels", "json", "text"]
_TASK_NAMES = {"labels": "classification", "json": "structured output", "text": "free text"}
_METRICS: dict[Kind, MetricName] = {"labels": "exact_match", "json": "json_fields"}


class Detected(Record):
    """What the examples look like, with a metric and an instruction to start from.

    `sentence` is for people: `1,200 rows · text/label · 4 labels → classification → exact_match`.
    """

    kind: Kind
    output: LabelOutput | JsonOutput | TextOutput
    metric: MetricSpec
    instruction: str
    sentence: str


def detect(reading: Reading) -> Detected:
    """Return what kind of task `reading` holds."""
    return detect_examples(reading.examples, rows=reading.rows, format=reading.format)


def detect_examples(examples: Sequence[Example], *, rows: int, format: str) -> Detected:
    """Return what kind of task the examples are; `rows` and `format` are for the sentence."""
    targets = [example.target for example in examples]
    output = output_of(targets)
    metric = _METRICS.get(output.kind) or _text_metric(targets)
    found = f"{rows:,} rows · {format} · {_shape(output, targets)}"
    return Detected(
        kind=output.kind,
        output=output,
        metric=MetricSpec(primary=metric),
        instruction=_instruction(examples, output.kind),
        sentence=f"{found} → {_TASK_NAMES[output.kind]} → {metric}",
    )


def output_of(targets: Sequence[JsonValue]) -> LabelOutput | JsonOutput | TextOutput:
    """Return the form that all targets have in common."""
    if targets and all(isinstance(target, dict | list) for target in targets):
        return JsonOutput(json_schema=infer_schema(targets))
    labels = closed_labels(targets)
    return LabelOutput(labels=labels) if labels else TextOutput()


def closed_labels(targets: Sequence[JsonValue]) -> tuple[str, ...]:
    """Return the labels in alphabetical order, or nothing where the answers are not a closed list."""
    counts = Counter(target for target in targets if isinstance(target, str))
    if counts.total() < len(targets) or not counts:
        return ()
    if any(len(label) > LONGEST_LABEL or "\n" in label.strip() for label in counts):
        return ()
    if len(counts) > MOST_LABELS or len(counts) > max(2, len(targets) // ROWS_PER_LABEL):
        return ()
    repeated = sum(count for count in counts.values() if count > 1)
    few = len(counts) <= 2
    return tuple(sorted(counts)) if few or repeated >= REPEATED_SHARE * len(targets) else ()


def _text_metric(targets: Sequence[JsonValue]) -> MetricName:
    words = [len(target.split()) for target in targets if isinstance(target, str)]
    return "token_f1" if not words or median(words) <= SHORT_ANSWER_WORDS else "rouge_l"


def _shape(output: LabelOutput | JsonOutput | TextOutput, targets: Sequence[JsonValue]) -> str:
    if isinstance(output, LabelOutput):
        count = len(output.labels)
        return f"{count:,} {'label' if count == 1 else 'labels'}"
    if isinstance(output, JsonOutput):
        fields = output.json_schema.get("properties")
        count = len(fields) if isinstance(fields, dict) else 0
        return f"JSON with {count:,} {'field' if count == 1 else 'fields'}"
    words = [len(target.split()) for target in targets if isinstance(target, str)]
    return f"answers of about {round(median(words or [0]))} words"


def _instruction(examples: Sequence[Example], kind: Kind) -> str:
    """Suggest an instruction: the system turn that all chats share, else one for the kind."""
    system = {_system_turn(example) for example in examples}
    if len(system) == 1 and (shared := system.pop()):
        return shared
    context = any(example.context for example in examples)
    source = "the context" if context else "the text"
    if kind == "labels" and context:
        return "Answer the question from the context with exactly one label."
    if kind == "labels":
        return "Classify the text with exactly one label."
    if kind == "json":
        return f"Extract the information in {source} as one JSON object."
    return "Answer the question from the context." if context else "Answer the request."


def _system_turn(example: Example) -> str | None:
    first = example.history[0] if example.history else None
    return first.content if first is not None and first.role == "system" else None
