"""Every verb and every flag, as one table: the parser, the help and the completion read it.

Help and completion are instant, so what they need imports nothing heavy: values are named tuples, as
`dataclasses` alone would take half of the time.
"""

from __future__ import annotations

from collections.abc import Mapping

from freehold.cli.grammar_data import DATA_VERBS
from freehold.cli.words import Flag, Verb

EXAMPLES = ("ticket-routing",)
MACHINES = ("laptop-cpu", "rtx-3060-12gb", "rtx-4090-24gb", "a100-80gb", "h100-80gb")
RUNGS = (
    *("baseline", "zero_shot", "few_shot", "structured", "retrieve"),
    *("lora", "lora+retrieve", "prefer", "distil", "full"),
)
TRAINED_RUNGS = ("lora", "prefer", "distil", "full")

GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag(("-C", "--directory"), "work in DIR", kind="text", value="DIR", completes="folder"),
    Flag(
        ("-s", "--set"),
        "override one setting; may be repeated",
        kind="text",
        value="KEY=VALUE",
        is_repeatable=True,
    ),
    Flag(("-n", "--limit"), "use at most N test examples", kind="count", value="N"),
    Flag(("-y", "--yes"), "answer yes: overwrite what would be kept"),
    Flag(("--json",), "print one JSON object on stdout"),
    Flag(
        ("--display",),
        "progress: rich, plain, json or none",
        kind="choice",
        value="MODE",
        choices=("rich", "plain", "json", "none"),
    ),
    Flag(("--no-color",), "no colour (NO_COLOR does the same)"),
    Flag(("-q", "--quiet"), "only results and errors"),
    Flag(("-v", "--verbose"), "also what libraries log"),
    Flag(("--offline",), "touch no network (the default)"),
    Flag(("--online",), "allow downloads of what the task file names"),
    Flag(("--strict",), "exit 4 where UNDECIDED; in check, warnings are errors"),
    Flag(("--dry-run",), "print the resolved plan, do nothing"),
    Flag(("--version",), "print the version"),
    Flag(("-h", "--help"), "print this help"),
)

TOP_FLAGS: tuple[Flag, ...] = (
    Flag(
        ("--install-completion",),
        "install completion for your shell (--dry-run prints it)",
        kind="choice",
        value="SHELL",
        choices=("bash", "zsh", "fish"),
        is_optional=True,
    ),
)

_RETRY = Flag(("--retry-failed",), "try failed examples again; old failures stand until then")
_MAX_FAILED = Flag(
    ("--max-failed",),
    "give a rung up after 20 failures, or after a share of 5%",
    kind="share",
    value="COUNT|SHARE",
)

VERBS: tuple[Verb, ...] = (
    Verb(
        name="init",
        arguments="[FILE | --example NAME]",
        summary="look at your data, write task.yaml",
        about="Looks at FILE, shows what was found, and writes task.yaml (9 lines),\n"
        "freehold.lock and .freehold/. FILE itself is never changed.",
        examples=(
            ("freehold init data/examples.jsonl", "settings for your own data"),
            ("freehold init --example ticket-routing", "a bundled task to play with"),
        ),
        flags=(
            Flag(
                ("--example",),
                "copy a bundled example: " + ", ".join(EXAMPLES),
                kind="text",
                value="NAME",
                completes="example",
            ),
        ),
        at_most=1,
        completes="file",
    ),
    Verb(
        name="check",
        arguments="[DATA]",
        summary="find mistakes in settings and data before they cost time",
        about="Reads task.yaml and the data as a climb would, and reports every problem.",
        examples=(
            ("freehold check", "settings and data"),
            ("freehold check --plan", "also time, cost and memory of each rung"),
            ("freehold check --plan --machine rtx-3060-12gb", "on a machine that is not here"),
            ("freehold check --explain DAT-003", "what a code means"),
        ),
        flags=(
            Flag(("--plan",), "estimate time, cost and memory of each rung"),
            Flag(
                ("--machine",),
                "plan for a machine: this, " + ", ".join(MACHINES),
                kind="choice",
                value="NAME",
                choices=("this", *MACHINES),
            ),
            Flag(("--ask-judge",), "ask models.judge about the answers that people scored"),
            Flag(("--where",), "print where each setting comes from"),
            Flag(
                ("--explain",),
                "print the page of an error code",
                kind="text",
                value="CODE",
                completes="code",
            ),
            Flag(
                ("--schema",),
                "print a JSON Schema: task, climb or eval",
                kind="choice",
                value="SHAPE",
                choices=("task", "climb", "eval"),
            ),
        ),
        at_most=1,
        completes="file",
    ),
    Verb(
        name="climb",
        arguments="[DATA]",
        summary="measure every rung, recommend the cheapest that meets the bar",
        about="Climbs the ladder on task.yaml, or on DATA with its settings, or with defaults where\n"
        "there is none. Type it again to resume:\n"
        "finished rungs and finished examples are not paid for twice. ^C pauses.",
        examples=(
            ("freehold climb", "the task of this folder"),
            ("freehold climb examples.jsonl", "no settings at all"),
            ("freehold climb -n 100 -s bar.quality=0.9", "fewer examples, higher bar"),
            ("freehold climb --json > climb.json", "for programs"),
        ),
        flags=(_RETRY, _MAX_FAILED),
        at_most=1,
        completes="file",
    ),
    Verb(
        name="report",
        arguments="[ID]",
        summary="show a climb or a training again, or the difference of two climbs",
        about="Shows the climb ID (c12), the training ID (t7), or the last climb. Nothing is measured.\n"
        "-s judges the climb again under another bar, volume or price, from what was measured.",
        examples=(
            ("freehold report", "the last climb"),
            (
                "freehold report c2 -s volume=1000000 -s bar=0.9",
                "what if: judged again, nothing asked",
            ),
            ("freehold report c2 --against c1", "what got better, what broke"),
            ("freehold report --open", "the page, in the browser"),
            ("freehold report t7", "a training: what it reached and kept"),
            ("freehold report c2 --format csv > c2.csv", "for a spreadsheet"),
        ),
        flags=(
            Flag(
                ("--against",),
                "compare with another climb, on the same examples",
                kind="text",
                value="ID",
                completes="id",
            ),
            Flag(("--open",), "open the HTML report in the browser"),
            Flag(
                ("--format",),
                "print as html, md, json, csv, junit, lm-eval or to-score",
                kind="choice",
                value="FORMAT",
                choices=("html", "md", "json", "csv", "junit", "lm-eval", "to-score"),
            ),
        ),
        at_most=1,
        completes="id",
    ),
    Verb(
        name="eval",
        arguments="MODEL",
        summary="measure one model or rung; -i asks all rungs one question",
        about="MODEL is a candidate of a climb (c12/lora), a model folder, or with -i a climb (c12).",
        examples=(
            ("freehold eval c1/few_shot", "one rung on the test examples"),
            ("freehold eval ./my-model", "a folder, with the instruction alone"),
            ('freehold eval c1 -i "I was charged twice" --expect billing', "every rung, one input"),
            ('freehold eval c1 -i "I was charged twice" --messages', "the exact prompts"),
        ),
        flags=(
            Flag(("-i", "--input"), "ask this, print every rung's answer", "text", "TEXT"),
            Flag(("--expect",), "the right answer to -i: marks who is right", "text", "TEXT"),
            Flag(
                ("--access",), "labels of who asks -i: which documents they see", "text", "LABELS"
            ),
            Flag(("--messages",), "with -i: print what each rung asks, and ask nothing"),
            _RETRY,
            _MAX_FAILED,
        ),
        at_least=1,
        at_most=1,
        completes="model",
    ),
    Verb(
        name="export",
        arguments="ID/RUNG",
        summary="write a rung's exact prompts for other tools",
        about="Writes what the rung asks about every example of a split into exports/, byte for byte,\n"
        "and reads it back before it gets its name. Weights are not part of it.",
        examples=(
            ("freehold export c1/few_shot", "all files, of the test examples"),
            ("freehold export c1/few_shot --to promptfoo", "a promptfoo configuration"),
            ("freehold export c1/retrieve --to messages --split dev", "one line per example"),
        ),
        flags=(
            Flag(
                ("--to",),
                "what to write: folder (all), messages, promptfoo or dspy",
                kind="choice",
                value="FORMAT",
                choices=("folder", "messages", "promptfoo", "dspy"),
            ),
            Flag(
                ("--split",),
                "whose examples: train, dev, test or audit",
                kind="choice",
                value="SPLIT",
                choices=("train", "dev", "test", "audit"),
            ),
        ),
        at_least=1,
        at_most=1,
        completes="model",
    ),
    Verb(
        name="train",
        arguments="[RUNG]",
        summary="train one rung with its ability kept",
        about="Trains RUNG (lora where it is left out) on task.yaml, watches general ability while it\n"
        "does, and writes .freehold/adapters/t1/, which PEFT and vLLM load as it is. Type it again\n"
        "to resume. --after goes on with the adapter of another training, on this task's domain.",
        examples=(
            ("freehold train", "the lora rung"),
            ("freehold train lora -s ladder.lora.effort=quick", "in less time"),
            ("freehold train --after t7", "the next domain, the ones before kept"),
            ("freehold train --after ../snips/.freehold/adapters/t1", "from another folder"),
        ),
        flags=(
            Flag(
                ("--after",),
                "go on after training t7, or the one in a folder",
                kind="text",
                value="ID|FOLDER",
                completes="training",
            ),
        ),
        at_most=1,
        completes="rung",
    ),
    Verb(
        name="train scratch",
        arguments="FOLDER",
        summary="train a small language model from nothing into FOLDER",
        about="Trains tokenizer and weights on procedural tasks and your texts. Settings of the run\n"
        "are given with -s. Type it again to resume at the last checkpoint.",
        examples=(
            ("freehold train scratch my-model -s tokens=2000000", "a first small model"),
            ("freehold train scratch my-model --text notes.txt", "with your own text"),
        ),
        flags=(
            Flag(
                ("--text",),
                "a text file to learn from; may be repeated",
                kind="text",
                value="FILE",
                is_repeatable=True,
                completes="file",
            ),
        ),
        at_least=1,
        at_most=1,
        completes="folder",
    ),
    *DATA_VERBS,
)

VERB_BY_NAME: Mapping[str, Verb] = {verb.name: verb for verb in VERBS}


def is_group(verb: Verb) -> bool:
    """Say whether a verb only gathers others, as `data` does: help shows it in one line for all of them."""
    return verb.at_most == 0 and bool(members_of(verb))


def members_of(verb: Verb) -> tuple[Verb, ...]:
    """Return the verbs of two words that begin with this one."""
    return tuple(other for other in VERBS if other.name.startswith(f"{verb.name} "))


def flags_of(verb: Verb | None) -> tuple[Flag, ...]:
    """Return the flags that may stand with `verb`; None is the bare command."""
    return (*GLOBAL_FLAGS, *(TOP_FLAGS if verb is None else verb.flags))
