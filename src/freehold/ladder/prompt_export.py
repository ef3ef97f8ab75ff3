"""A rung's prompts as files: what it asks about every example, and the same for other tools, each proven.

Every file is made from the messages that the rung asks. `proof` reads the files back and returns what is
not byte-equal; nothing is written under its final name before that is empty. An export holds no weights.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from freehold import __version__
from freehold.core.message import Message
from freehold.core.record import digest_bytes
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Task
from freehold.ladder.asked import Asked, asked_of
from freehold.ladder.prompts import answer_text, conversation, question_text
from freehold.ladder.rung import Answerer
from freehold.ladder.zero_shot import FixedPromptAnswerer

MESSAGES = "messages.jsonl"
SYSTEM = "system.md"
SHOTS = "fewshot.jsonl"
SCHEMA = "schema.json"
DSPY = "dspy.json"
RECORD = "freehold.json"
PROMPTFOO = "promptfooconfig"
SERVER = "http://127.0.0.1:8000/v1"
EXACT = frozenset({"exact_match", "label_accuracy", "macro_f1"})


@dataclass(frozen=True)
class ExportedRow:
    """One example with what the rung asks about it."""

    example: Example
    asked: Asked


@dataclass(frozen=True)
class PromptExport:
    """What is exported: a rung of a climb over the examples of one split.

    `fixed` holds the system turn and the examples of a rung that asks every example alike; it is None for
    one whose prompts depend on the example. `max_tokens` bounds an answer, None where labels are scored.
    """

    name: str
    rung: str
    variant: str
    task: Task
    model: str
    model_digest: str
    candidate_digest: str
    snapshot_digest: str
    split: str
    rows: tuple[ExportedRow, ...]
    fixed: FixedPromptAnswerer | None
    max_tokens: int


Files = dict[str, bytes]
Maker = Callable[[PromptExport], Files]


def rows_of(answerer: Answerer, examples: Sequence[Example]) -> tuple[ExportedRow, ...] | None:
    """Return what is asked about each example; None where no model is asked."""
    rows: list[ExportedRow] = []
    for example in examples:
        asked = asked_of(answerer, example)
        if asked is None:
            return None
        rows.append(ExportedRow(example, asked))
    return tuple(rows)


def export_files(export: PromptExport, to: str) -> Files:
    """Return the files of an export by name, with a record of them."""
    files = EXPORTS[to](export)
    return {**files, RECORD: _record(export, to, files)}


def proof(
    files: Mapping[str, bytes], export: PromptExport, *, rows: Sequence[ExportedRow]
) -> tuple[str, ...]:
    """Return what of an export does not say byte for byte what the rung asks; nothing where all does.

    Args:
        files: as they were read back.
        export: what they were made from.
        rows: what the rung asks, asked anew.
    """
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        (MESSAGES, lambda: _messages_say(files[MESSAGES], rows)),
        (SYSTEM, lambda: _parts_say(files, rows)),
        (DSPY, lambda: _dspy_says(files[DSPY], export)),
    )
    wrong = [name for name, says in checks if name in files and not says()]
    configs = [name for name in files if name.startswith(PROMPTFOO)]
    if configs and not _promptfoo_says(files, configs, rows):
        wrong.append(configs[0])
    return tuple(wrong)


# Every message --------------------------------------------------------------------------------


def as_messages(export: PromptExport) -> Files:
    """Return `messages.jsonl`: id, messages, prompt text and its SHA-256 of every example."""
    lines = [
        _json(
            {
                "id": row.example.id,
                "messages": _turns(row.asked.messages),
                "prompt": row.asked.prompt,
                "sha256": row.asked.sha256,
                "target": row.example.target,
            }
        )
        for row in export.rows
    ]
    return {MESSAGES: b"".join(line + b"\n" for line in lines)}


def _messages_say(content: bytes, rows: Sequence[ExportedRow]) -> bool:
    read = [json.loads(line) for line in content.splitlines()]
    return len(read) == len(rows) and all(
        one["id"] == row.example.id
        and one["messages"] == _turns(row.asked.messages)
        and one["prompt"] == row.asked.prompt
        and one["sha256"] == row.asked.sha256
        for one, row in zip(read, rows, strict=True)
    )


# The parts of a fixed prompt, and snippets ----------------------------------------------------


def as_folder(export: PromptExport) -> Files:
    """Return everything: the messages, the parts of the prompt, a schema, snippets, other tools' formats."""
    files = {**as_messages(export), **as_promptfoo(export)}
    if export.fixed is not None:
        files[SYSTEM] = _bytes(export.fixed.system)
        files[SHOTS] = b"".join(_json(shot) + b"\n" for shot in _shots(export.fixed))
        files |= as_dspy(export)
    schema = _schema(export.task)
    if schema is not None:
        files[SCHEMA] = _bytes(json.dumps(schema, ensure_ascii=False, indent=2) + "\n")
    files["curl.sh"] = _curl(export)
    files["ask.py"] = _bytes(
        _ASK_PY.replace("@MODEL@", json.dumps(export.model))
        .replace("@SERVER@", json.dumps(SERVER))
        .replace("@TOKENS@", str(export.max_tokens))
    )
    files["README.md"] = _readme(export, files)
    return files


def _shots(fixed: FixedPromptAnswerer) -> list[dict[str, JsonValue]]:
    return [
        {"user": question_text(shot), "assistant": answer_text(shot.target)} for shot in fixed.shots
    ]


def _parts_say(files: Mapping[str, bytes], rows: Sequence[ExportedRow]) -> bool:
    """Tell whether system.md and fewshot.jsonl make the messages of every example."""
    system = files[SYSTEM].decode("utf-8", "surrogatepass")
    shots = [json.loads(line) for line in files[SHOTS].splitlines()]
    examples = tuple(Example(id="", input=shot["user"], target=shot["assistant"]) for shot in shots)
    return all(
        conversation(system, row.example, shots=examples) == row.asked.messages for row in rows
    )


def _schema(task: Task) -> JsonValue:
    if isinstance(task.output, JsonOutput):
        return task.output.json_schema
    if isinstance(task.output, LabelOutput):
        return {"type": "string", "enum": list(task.output.labels)}
    return None


def _curl(export: PromptExport) -> bytes:
    body: dict[str, JsonValue] = {
        "model": export.model,
        "messages": _turns(export.rows[0].asked.messages),
        "temperature": 0,
        "max_tokens": export.max_tokens,
    }
    text = json.dumps(body, ensure_ascii=True, indent=1).replace("'", "\\u0027")
    return _bytes(
        "#!/bin/sh\n"
        f"# Asks about example {_word(export.rows[0].example.id)}, as the rung does.\n"
        f"curl -s {SERVER}/chat/completions -H 'Content-Type: application/json' -d '{text}'\n"
    )


_ASK_PY = '''"""Ask as the exported rung does. `python ask.py "TEXT"`, or `python ask.py --id EXAMPLE`.

With --messages the messages are printed and nothing is asked. Standard library only.
"""

import json
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
MODEL, SERVER, MAX_TOKENS = @MODEL@, @SERVER@, @TOKENS@


def lines(name):
    return [json.loads(line) for line in (HERE / name).read_bytes().splitlines()]


def messages_for_text(text):
    if not (HERE / "system.md").exists():
        sys.exit("The prompt of this rung depends on the example: python ask.py --id EXAMPLE")
    system = (HERE / "system.md").read_bytes().decode()
    turns = [{"role": "system", "content": system}] if system else []
    for shot in lines("fewshot.jsonl"):
        turns.append({"role": "user", "content": shot["user"]})
        turns.append({"role": "assistant", "content": shot["assistant"]})
    return [*turns, {"role": "user", "content": text}]


def messages_for_id(name):
    found = [line["messages"] for line in lines("messages.jsonl") if line["id"] == name]
    return found[0] if found else sys.exit(f"no example {name} in messages.jsonl")


def ask(messages):
    body = {"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": MAX_TOKENS}
    request = urllib.request.Request(
        SERVER + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--messages"]
    if not words:
        sys.exit(__doc__)
    turns = messages_for_id(words[1]) if words[0] == "--id" else messages_for_text(words[0])
    print(json.dumps(turns) if "--messages" in sys.argv else ask(turns))
'''


def _readme(export: PromptExport, files: Mapping[str, bytes]) -> bytes:
    is_fixed = export.fixed is not None
    lines = [
        f"# {export.name}: the prompts of rung {export.rung}",
        "",
        f"Task {_word(export.task.name)}, model {_word(export.model)}, variant {_word(export.variant)},"
        f" {len(export.rows)} examples of the {export.split} split. Written by Freehold {__version__}, and read"
        " back: every message and prompt text is byte for byte what the rung asks.",
        "",
        "| file | holds |",
        "|---|---|",
        f"| {MESSAGES} | per example: messages, the text that the model's tokenizer reads, its SHA-256 |",
    ]
    told = {
        SYSTEM: "the system turn",
        SHOTS: "the examples in the prompt, in order: a user and an assistant turn each",
        SCHEMA: "what an answer may be (JSON Schema)",
        DSPY: "state for `dspy.Predict('question -> answer').load(...)`",
        "curl.sh": "asks an OpenAI-compatible server about one example",
        "ask.py": "the same in Python, about any text or example",
    }
    lines += [f"| {name} | {words} |" for name, words in told.items() if name in files]
    lines += [
        f"| {name} | `promptfoo eval -c {name}`: the examples as tests with asserts |"
        for name in files
        if name.startswith(PROMPTFOO)
    ]
    lines += [
        "",
        "The prompt is the same for every example but for the question."
        if is_fixed
        else "The prompt depends on the example: what is nearest is looked up for each."
        f" {MESSAGES} carries every prompt; no other file can make one for a new input.",
        "",
        "What is not in here: the weights; held-out rows beyond the split above; and decoding held to labels"
        " or a schema, which a server does with its own settings. DSPy's adapters put the parts into a text of"
        " their own, so that with DSPy the parts are equal and the prompt is not.",
        "The rows are your own. Look at them before you pass this folder on.",
        "",
    ]
    return _bytes("\n".join(lines))


# DSPy -----------------------------------------------------------------------------------------


def as_dspy(export: PromptExport) -> Files:
    """Return `dspy.json`: the state of `dspy.Predict("question -> answer")`; nothing for prompts that vary."""
    if export.fixed is None:
        return {}
    demos: list[JsonValue] = [
        {"question": shot["user"], "answer": shot["assistant"]} for shot in _shots(export.fixed)
    ]
    state: dict[str, JsonValue] = {
        "traces": [],
        "train": [],
        "demos": demos,
        "signature": {
            "instructions": export.fixed.system,
            "fields": [
                {"prefix": "Question:", "description": "${question}"},
                {"prefix": "Answer:", "description": "${answer}"},
            ],
        },
        "lm": None,
        "metadata": {"dependency_versions": {}},
    }
    return {DSPY: _bytes(json.dumps(state, ensure_ascii=False, indent=2) + "\n")}


def _dspy_says(content: bytes, export: PromptExport) -> bool:
    state = json.loads(content.decode("utf-8", "surrogatepass"))
    fixed = export.fixed
    if fixed is None:
        return False
    shots = [{"user": one["question"], "assistant": one["answer"]} for one in state["demos"]]
    return state["signature"]["instructions"] == fixed.system and shots == _shots(fixed)


# promptfoo ------------------------------------------------------------------------------------


def as_promptfoo(export: PromptExport) -> Files:
    """Return promptfoo configurations with their prompts, one for each shape of conversation.

    A turn that is the same in every example stands in the prompt file, the others are variables of the
    tests. promptfoo cuts one newline off the end of a variable and reads `file://` ones as files: an
    example that has such a turn is left to `messages.jsonl`, and a comment says how many were.
    """
    shapes: dict[tuple[str, ...], list[ExportedRow]] = {}
    for row in export.rows:
        shapes.setdefault(tuple(turn.role for turn in row.asked.messages), []).append(row)
    files: Files = {}
    for number, rows in enumerate(shapes.values(), start=1):
        suffix = "" if number == 1 else f"-{number}"
        files |= _promptfoo_shape(export, rows, suffix)
    return files


def _promptfoo_shape(export: PromptExport, rows: Sequence[ExportedRow], suffix: str) -> Files:
    turns = list(zip(*(row.asked.messages for row in rows), strict=True))
    last = len(turns) - 1
    varies = {
        place: "question" if place == last else f"turn_{place}"
        for place, same in enumerate(turns)
        if place == last or len({turn.content for turn in same}) > 1
    }
    carried = [row for row in rows if _is_carried(row, tuple(varies))]
    if not carried:
        return {}
    prompt: JsonValue = [
        {
            "role": same[0].role,
            "content": f"{{{{{varies[place]}}}}}" if place in varies else _escaped(same[0].content),
        }
        for place, same in enumerate(turns)
    ]
    tests: list[JsonValue] = [
        {
            "description": row.example.id,
            "vars": {name: row.asked.messages[place].content for place, name in varies.items()},
            "assert": _asserts(export.task, row.example),
        }
        for row in carried
    ]
    config: JsonValue = {
        "description": f"{export.name}: {export.task.name}, {export.split} split",
        "prompts": [f"file://prompt{suffix}.json"],
        "providers": [
            {
                "id": f"openai:chat:{export.model}",
                "config": {
                    "apiBaseUrl": SERVER,
                    "temperature": 0,
                    "max_tokens": export.max_tokens,
                },
            }
        ],
        "tests": tests,
    }
    head = "# Run: promptfoo eval -c " + f"{PROMPTFOO}{suffix}.yaml\n"
    if len(carried) < len(rows):
        head += f"# {len(rows) - len(carried)} examples that promptfoo would change stand in {MESSAGES} only.\n"
    return {
        f"{PROMPTFOO}{suffix}.yaml": _bytes(head + _yaml(config)),
        f"prompt{suffix}.json": _bytes(json.dumps(prompt, ensure_ascii=False, indent=2) + "\n"),
    }


def _is_carried(row: ExportedRow, places: tuple[int, ...]) -> bool:
    """Tell whether promptfoo passes the varying turns of an example on as they are."""
    for place in places:
        text = row.asked.messages[place].content
        if text.endswith("\n") or text.startswith(("file://", "package:")) or "{{" in text:
            return False
    return True


def _escaped(text: str) -> str:
    """Return text for a Nunjucks template that renders to itself, whatever becomes of line endings."""
    has_tag = any(tag in text for tag in ("{{", "{%", "{#", "#}"))
    stands_for = {"\r": '{{ "\\r" }}'}
    if has_tag:
        stands_for |= {"{": '{{ "{" }}', "#": '{{ "#" }}'}
    return "".join(stands_for.get(letter, letter) for letter in text)


def _asserts(task: Task, example: Example) -> list[JsonValue]:
    """Return promptfoo's asserts for an example: the nearest to the task's metric that promptfoo has."""
    target = answer_text(example.target)
    if isinstance(task.output, JsonOutput):
        return [
            {"type": "is-json", "value": task.output.json_schema},
            {"type": "equals", "value": example.target},
        ]
    if task.metric.primary in EXACT:
        return [{"type": "equals", "value": target}]
    if task.metric.primary == "regex" and task.metric.pattern is not None:
        return [{"type": "regex", "value": task.metric.pattern}]
    return [{"type": "rouge-n", "value": target, "threshold": 0.5}]


def _yaml(value: JsonValue) -> str:
    """Return YAML whose every text is quoted, so that YAML 1.1 and 1.2 read the same."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 1_000_000_000
    out = io.StringIO()
    yaml.dump(_quoted(value), out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


def _quoted(value: JsonValue) -> object:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        return DoubleQuotedScalarString(value)
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    if isinstance(value, dict):
        return {name: _quoted(one) for name, one in value.items()}
    return value


def _promptfoo_says(
    files: Mapping[str, bytes], configs: Sequence[str], rows: Sequence[ExportedRow]
) -> bool:
    """Render every test as promptfoo does, with Jinja in the place of Nunjucks, and compare the messages."""
    from jinja2.sandbox import SandboxedEnvironment
    from ruamel.yaml import YAML

    jinja = SandboxedEnvironment(autoescape=False, keep_trailing_newline=True)
    asked = {row.example.id: _turns(row.asked.messages) for row in rows}
    for name in configs:
        config = YAML(typ="safe").load(files[name].decode("utf-8"))  # pyright: ignore[reportUnknownMemberType]
        prompt = json.loads(files[config["prompts"][0].removeprefix("file://")])
        templates = [(turn["role"], jinja.from_string(turn["content"])) for turn in prompt]
        for test in config["tests"]:
            turns = [
                {"role": role, "content": template.render(test["vars"])}
                for role, template in templates
            ]
            if turns != asked[test["description"]]:
                return False
    return True


# The record, and small things -----------------------------------------------------------------


def _record(export: PromptExport, to: str, files: Mapping[str, bytes]) -> bytes:
    record: dict[str, JsonValue] = {
        "export": export.name,
        "to": to,
        "task": export.task.name,
        "rung": export.rung,
        "variant": export.variant,
        "candidate": export.candidate_digest,
        "snapshot": export.snapshot_digest,
        "split": export.split,
        "examples": len(export.rows),
        "model": {"name": export.model, "digest": export.model_digest},
        "files": {name: digest_bytes(content) for name, content in sorted(files.items())},
        "freehold": __version__,
    }
    return _bytes(json.dumps(record, ensure_ascii=False, indent=2) + "\n")


def _turns(messages: Sequence[Message]) -> list[JsonValue]:
    return [{"role": turn.role, "content": turn.content} for turn in messages]


def _json(value: dict[str, JsonValue]) -> bytes:
    """Return one line of JSON in UTF-8; what has no UTF-8 is written as an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False).encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _word(text: str) -> str:
    """Return a name for a line of a file: on one line."""
    return " ".join(text.split()) or "-"


EXPORTS: Mapping[str, Maker] = {
    "folder": as_folder,
    "messages": as_messages,
    "promptfoo": lambda export: {**as_messages(export), **as_promptfoo(export)},
    "dspy": as_dspy,
}
"""What an export can be. A new one is a function and a line here, and a check in `proof`."""
