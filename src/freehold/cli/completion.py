"""What a shell may offer for the word being typed. Reads the ledger directly; nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from freehold.cli.grammar import (
    EXAMPLES,
    RUNGS,
    TRAINED_RUNGS,
    VERB_BY_NAME,
    VERBS,
    flags_of,
    is_group,
)
from freehold.cli.words import Flag, Verb

LAST = "@last"
SNAPSHOT = "s"
BUNDLED_MODEL = "freehold/acorn"


def complete(words: Sequence[str]) -> int:
    """Print the candidates for the last of `words`, one a line; none means: offer files."""
    for candidate in candidates(words, Path.cwd()):
        sys.stdout.write(candidate + "\n")
    return 0


def candidates(words: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return what the last of `words` may become.

    Args:
        words: the command line after `freehold`; the last word is being typed and may be empty.
        folder: where the command is typed.
    """
    *before, word = _joined(words) or [""]
    verb, plain = _verb_of(before)
    flags = {name: flag for flag in flags_of(verb) for name in flag.names}
    project = _project(before, folder)
    awaiting = flags.get(before[-1]) if before else None
    if awaiting is not None and awaiting.kind != "switch":
        return _starting(word, _values(awaiting, project))
    name, equals, value = word.partition("=")
    if equals and name in flags:
        return _starting(value, _values(flags[name], project))
    if word.startswith("-"):
        return _starting(word, tuple(flag.names[-1] for flag in flags.values()))
    if verb is None or (is_group(verb) and not plain):
        return _starting(word, _verb_words(plain if verb is None else verb.name.split()))
    return _starting(word, _offers(verb.completes, project))


def _joined(words: Sequence[str]) -> list[str]:
    """Undo bash's habit of cutting words at `=` and `@`."""
    joined: list[str] = []
    for word in words:
        last = joined[-1] if joined else ""
        is_cut_value = last.startswith("--") and (word == "=" or last.endswith("="))
        if is_cut_value or last == "@":
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _verb_of(words: Sequence[str]) -> tuple[Verb | None, tuple[str, ...]]:
    every = {
        name: flag for verb in (None, *VERBS) for flag in flags_of(verb) for name in flag.names
    }
    plain: list[str] = []
    is_value = False
    for word in words:
        if not is_value and not word.startswith("-"):
            plain.append(word)
        flag = every.get(word)
        is_value = flag is not None and flag.kind != "switch" and not flag.is_optional
    for size in (2, 1):
        verb = VERB_BY_NAME.get(" ".join(plain[:size]))
        if verb is not None:
            return verb, tuple(plain[size:])
    return None, tuple(plain)


def _verb_words(plain: Sequence[str]) -> tuple[str, ...]:
    if not plain:
        return tuple(dict.fromkeys(verb.name.split()[0] for verb in VERBS))
    return tuple(verb.name.split()[1] for verb in VERBS if verb.name.startswith(plain[0] + " "))


def _project(words: Sequence[str], folder: Path) -> Path:
    for flag, value in pairwise(words):
        if flag in {"-C", "--directory"}:
            return folder / value
    return folder


def _values(flag: Flag, project: Path) -> tuple[str, ...]:
    return flag.choices or _offers(flag.completes, project)


def _offers(kind: str, project: Path) -> tuple[str, ...]:
    match kind:
        case "id":
            return tuple(name for name in _ids(project) if not name.startswith(SNAPSHOT))
        case "snapshot":
            return tuple(name for name in _ids(project) if name.startswith(SNAPSHOT))
        case "training":
            return tuple(name for name in _ids(project) if name.startswith("t"))
        case "rung":
            return (*TRAINED_RUNGS, "scratch")
        case "model":
            ids = tuple(name for name in _ids(project) if not name.startswith(("t", SNAPSHOT)))
            rungs = tuple(f"{name}/{rung}" for name in ids for rung in RUNGS)
            return (*ids, *rungs, BUNDLED_MODEL)
        case "code":
            from freehold.core.codes import CODES

            return tuple(CODES)
        case "example":
            return EXAMPLES
        case _:
            return ()


def _ids(project: Path) -> tuple[str, ...]:
    """Return the handles of the project's ledger, newest first, without opening the store."""
    ledger = project / ".freehold" / "ledger.db"
    if not ledger.is_file():
        return ()
    import sqlite3

    try:
        connection = sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True, timeout=0.2)
        try:
            rows = connection.execute(
                "SELECT name FROM handles ORDER BY prefix, number DESC LIMIT 200"
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return ()
    return (LAST, *(str(name) for (name,) in rows)) if rows else ()


def _starting(word: str, offered: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(offer for offer in offered if offer.startswith(word)))


SCRIPTS: Mapping[str, str] = {
    "bash": """\
# Completion of freehold for bash.
_freehold() {
    local IFS=$'\\n'
    COMPREPLY=( $(freehold __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
}
complete -o default -F _freehold freehold
""",
    "zsh": """\
#compdef freehold
# Completion of freehold for zsh.
_freehold() {
    local -a offered
    offered=("${(@f)$(freehold __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${offered[1]}" ]]; then compadd -- "${offered[@]}"; else _files; fi
}
if [[ "${funcstack[1]}" == "_freehold" ]]; then _freehold "$@"; else compdef _freehold freehold; fi
""",
    "fish": """\
# Completion of freehold for fish.
function __freehold_complete
    set -l words (commandline -opc) (commandline -ct)
    freehold __complete $words[2..-1] 2>/dev/null
end
complete -c freehold -a '(__freehold_complete)'
""",
}

#: Where each shell looks for a user's own completions, below the home folder.
PLACES: Mapping[str, str] = {
    "bash": ".local/share/bash-completion/completions/freehold",
    "zsh": ".zfunc/_freehold",
    "fish": ".config/fish/completions/freehold.fish",
}

#: What has to be said once per shell for the place to be read.
HINTS: Mapping[str, str] = {
    "bash": "new shells complete freehold; if not, add to ~/.bashrc: source {place}",
    "zsh": "add to ~/.zshrc, before compinit: fpath+=~/.zfunc",
    "fish": "new shells complete freehold",
}
