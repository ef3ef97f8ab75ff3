"""The verbs of `freehold data`, a part of the grammar."""

from __future__ import annotations

from freehold.cli.words import Flag, Verb

SYNTH_METHODS = ("self_instruct", "documents", "paraphrase", "counterexamples", "evolve")
NOISE_KINDS = ("typos", "casing", "ocr", "spacing")
JUDGES = ("teacher", "best", "none")

_OUT = Flag(("--out",), "write to FILE", kind="text", value="FILE", completes="file")
_COUNT = Flag(("--count",), "how many new rows are wanted", kind="count", value="N")

DATA_VERBS: tuple[Verb, ...] = (
    Verb(
        name="data",
        arguments="[VERB]",
        summary="add, show, clean, scrub, split, write, label, compare and forget rows",
        about="What happens to the rows before a climb. Alone it prints where the data stands. Verbs that\n"
        "change rows write a new file; only `data forget` writes into yours, after asking.",
        examples=(
            ("freehold data", "where the data stands"),
            ("freehold data --json", "for programs"),
        ),
    ),
    Verb(
        name="data add",
        arguments="FILE...",
        summary="add files to the task, and freeze what they hold",
        about="Reads each FILE, shows its format and one row as the model will see it, writes its name\nto `data.examples` of task.yaml, and freezes a snapshot. FILE itself is never changed.",
        examples=(
            ("freehold data add more.jsonl", "more examples for this task"),
            ("freehold data add more.jsonl --dry-run", "what would be added"),
        ),
        at_least=1,
        at_most=None,
        completes="file",
    ),
    Verb(
        name="data ls",
        arguments="",
        summary="list the snapshots of this task",
        about="Lists every snapshot: when, from what, how many rows in which split.",
        examples=(("freehold data ls", "all of them"),),
        at_least=0,
        at_most=0,
        completes="nothing",
    ),
    Verb(
        name="data show",
        arguments="[SNAPSHOT|ROW]",
        summary="show what is in the data, and what is wrong with it",
        about="Shows sources, lengths, labels, duplicates, overlap, doubtful labels and personal data of a\nsnapshot (the present data where it is left out), or one row byte for byte.",
        examples=(
            ("freehold data show", "the present data"),
            ("freehold data show --thorough", "every row, with embeddings"),
            ("freehold data show ex-1f0c", "one row, byte for byte"),
        ),
        flags=(Flag(("--thorough",), "look at every row, and use embeddings; takes minutes"),),
        at_least=0,
        at_most=1,
        completes="snapshot",
    ),
    Verb(
        name="data clean",
        arguments="",
        summary="write a copy without rows that cannot be used",
        about="Writes a new file beside yours, without rows that cannot be used and exact repeats with one\n"
        "answer. Repeats with different answers stay, for you to decide. Every drop has its reason.",
        examples=(
            ("freehold data clean", "writes clean.jsonl beside your data"),
            ("freehold data clean --drops", "also lists every row that is left out"),
        ),
        flags=(Flag(("--drops",), "list every row that is left out, with its reason"),),
        at_least=0,
        at_most=0,
        completes="nothing",
    ),
    Verb(
        name="data dedup",
        arguments="[FILE]",
        summary="find rows that repeat or nearly repeat others",
        about="Shows groups of rows that repeat, nearly repeat or paraphrase each other. With --out writes a\nnew file that keeps the first row of each group; yours is never changed.",
        examples=(
            ("freehold data dedup", "what repeats in this task's examples"),
            ("freehold data dedup --out data/dedup.jsonl", "a copy without the repeats"),
            ("freehold data dedup more.jsonl --paraphrase", "also the same in other words"),
        ),
        flags=(
            _OUT,
            Flag(
                ("--paraphrase",), "also join what says the same in other words (embeds each row)"
            ),
        ),
        at_least=0,
        at_most=1,
        completes="file",
    ),
    Verb(
        name="data scrub",
        arguments="[FILE]",
        summary="find personal data and secrets; mask, replace or drop them",
        about="Reports personal data and secrets of FILE (of task.yaml where it is left out) by kind and row,\n"
        "never their values. With --as mask, surrogate or drop it writes a new file without them; FILE\n"
        "itself is never changed. The same value gets the same stand-in in every row and file.",
        examples=(
            ("freehold data scrub", "what is there"),
            ("freehold data scrub --as mask", "<EMAIL>, <NAME>, ... in a new file"),
            ("freehold data scrub tickets.csv --as surrogate --kinds email,phone", "stand-ins"),
            ("freehold data scrub --kinds all --json", "every kind and every place, for programs"),
        ),
        flags=(
            Flag(
                ("--as",),
                "report, mask, surrogate or drop the row (report)",
                kind="choice",
                value="HOW",
                choices=("report", "mask", "surrogate", "drop"),
            ),
            Flag(("--kinds",), "only these kinds, or all of them", kind="text", value="A,B|all"),
            _OUT,
            Flag(
                ("--presidio",),
                "find names and places also with an installed spaCy pipeline",
                kind="text",
                value="PIPELINE",
            ),
        ),
        at_least=0,
        at_most=1,
        completes="file",
    ),
    Verb(
        name="data split",
        arguments="",
        summary="freeze the data and show its splits",
        about="Divides the data into train, dev, test and audit as task.yaml says, and freezes it.",
        examples=(("freehold data split", "the present data"),),
        at_least=0,
        at_most=0,
        completes="nothing",
    ),
    Verb(
        name="data synth",
        arguments="",
        summary="let a model write more training rows",
        about="Lets a teacher write new rows from training rows and documents. What passes every filter\n"
        "goes to a new file, for training only; what does not keeps its reason. Type it again to\n"
        "resume: no answer is paid for twice.",
        examples=(
            ("freehold data synth", "100 rows, by the task's base model"),
            ("freehold data synth --teacher ../models/big --count 500", "by a stronger model"),
            ("freehold data synth --method counterexamples", "for labels that a climb confused"),
            ("freehold data synth --rejected rejected.jsonl", "also what did not pass, and why"),
        ),
        flags=(
            Flag(
                ("--teacher",),
                "who writes: a model folder or id (the task's base)",
                kind="text",
                value="MODEL",
                completes="model",
            ),
            Flag(
                ("--method",),
                "one of " + ", ".join(SYNTH_METHODS) + "; may be repeated (all that apply)",
                kind="choice",
                value="NAME",
                choices=SYNTH_METHODS,
                is_repeatable=True,
            ),
            _COUNT,
            Flag(
                ("--most-calls",),
                "ask the teacher at most N times (10 for each row)",
                kind="count",
                value="N",
            ),
            Flag(
                ("--judge",),
                "who confirms answers: teacher, best (of the last climb), none",
                kind="choice",
                value="WHO",
                choices=JUDGES,
            ),
            _OUT,
            Flag(
                ("--rejected",),
                "write what did not pass, with its reasons, to FILE",
                kind="text",
                value="FILE",
                completes="file",
            ),
        ),
        at_least=0,
        at_most=0,
        completes="nothing",
    ),
    Verb(
        name="data augment",
        arguments="",
        summary="write noisy copies of training rows",
        about="Writes copies of training rows with typing slips, other casing, scanning errors or loose\n"
        "spacing to a new file, for training only. Answers stay, and so do the values in an input\n"
        "that its answer copies. No model is needed.",
        examples=(
            ("freehold data augment", "as many as there are training rows"),
            ("freehold data augment --noise typos --noise casing --count 300", "two kinds"),
        ),
        flags=(
            Flag(
                ("--noise",),
                "one of " + ", ".join(NOISE_KINDS) + "; may be repeated (all)",
                kind="choice",
                value="KIND",
                choices=NOISE_KINDS,
                is_repeatable=True,
            ),
            Flag(
                ("--rate",),
                "the chance that a word or space is hit (0.1)",
                kind="share",
                value="SHARE",
            ),
            _COUNT,
            _OUT,
        ),
        at_least=0,
        at_most=0,
        completes="nothing",
    ),
    Verb(
        name="data label",
        arguments="[FILE]",
        summary="label rows in the browser, by keyboard",
        about="Opens a page on this machine with a queue of rows, the most doubtful first: those of\n"
        "FILE that have no answer, or the training rows of this task, to be looked at again.\n"
        "FILE is never changed: ^C writes data/labels.jsonl, and what people differ about to\n"
        "data/labels.disputed.jsonl. --json prints what stands, and opens nothing.",
        examples=(
            ("freehold data label inbox.jsonl", "rows without an answer"),
            ("freehold data label", "the training rows, doubtful first"),
            ("freehold data label inbox.jsonl --labels billing,refunds", "without a task.yaml"),
            ("freehold data label inbox.jsonl --export", "write what is labelled, open nothing"),
        ),
        flags=(
            Flag(
                ("--labeller",),
                "who labels in the first browser that opens the page",
                kind="text",
                value="NAME",
            ),
            Flag(("--labels",), "the labels to choose from", kind="text", value="A,B,..."),
            Flag(("--blind",), "make no suggestions, so that labellers are not led"),
            Flag(("--export",), "write what is labelled, and open no page"),
            Flag(("--no-open",), "print the address, and open no browser"),
        ),
        at_least=0,
        at_most=1,
        completes="file",
    ),
    Verb(
        name="data diff",
        arguments="SNAPSHOT SNAPSHOT",
        summary="show what changed between two snapshots",
        about="Shows rows that came, went, changed their answer or moved between splits, and what was left\n"
        "out for which reason. With --strict the exit code is 3 where anything differs.",
        examples=(
            ("freehold data diff s1 s2", "what changed"),
            ("freehold data diff s1 s2 --rows", "every row of it"),
        ),
        flags=(Flag(("--rows",), "list every row, not the first of each kind"),),
        at_least=2,
        at_most=2,
        completes="snapshot",
    ),
    Verb(
        name="data forget",
        arguments="",
        summary="remove a person from the data, and find what descends from it",
        about="Shows the rows that match, asks, and removes them from your files and from what Freehold kept.\n"
        "Lists every snapshot, index, adapter and release that descends from them, to be built anew.",
        examples=(
            ("freehold data forget --match jane@example.org", "every row that holds this text"),
            ("freehold data forget --id ticket-881", "one row"),
            ("freehold data forget --filter 'customer == \"c-17\"'", "rows of a condition"),
            ("freehold data forget --match jane@example.org --dry-run", "what would be removed"),
        ),
        flags=(
            Flag(("--match",), "rows that hold TEXT, in any column or case", "text", "TEXT"),
            Flag(("--id",), "the row with this id", "text", "ID"),
            Flag(
                ("--filter",),
                "rows of a condition, written as in data.slices",
                "text",
                "EXPRESSION",
            ),
        ),
        completes="nothing",
    ),
)
