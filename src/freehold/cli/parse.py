"""From the words of a command line to an `Invocation`. Flags may stand before and after the verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from freehold.cli.grammar import VERB_BY_NAME, VERBS, flags_of, is_group, members_of
from freehold.cli.words import Flag, Verb

Given: TypeAlias = list[tuple[Flag, str]]


class Misused(Exception):
    """The command line cannot be understood. `help` is the way out."""

    def __init__(self, code: str, message: str, *, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


class Invocation(NamedTuple):
    """What was typed: a verb ("" for the bare command), its arguments, and the flags by key.

    A switch has the value "". The last value of a flag that may stand once wins.
    """

    verb: str
    arguments: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]

    def has(self, key: str) -> bool:
        """Return whether the flag was given."""
        return key in self.flags

    def text(self, key: str) -> str | None:
        """Return the last value of the flag, None where it was not given."""
        values = self.flags.get(key, ())
        return values[-1] if values else None

    def texts(self, key: str) -> tuple[str, ...]:
        """Return every value of a flag that may be repeated."""
        return self.flags.get(key, ())

    def number(self, key: str) -> int | None:
        """Return the value of a count."""
        text = self.text(key)
        return None if text is None else int(text)

    def share(self, key: str) -> int | float | None:
        """Return the value of a count (int) or a share (float)."""
        text = self.text(key)
        return None if text is None else as_count_or_share(text)

    @property
    def argument(self) -> str | None:
        """The first argument."""
        return self.arguments[0] if self.arguments else None


def as_count_or_share(text: str) -> int | float:
    """Return `20` as a count, `0.05` and `5%` as a share.

    Raises:
        ValueError: it is neither a count from 0 on nor a share from 0 to below 1.
    """
    if text.isdigit():
        return int(text)
    share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= share < 1:
        raise ValueError(text)
    return share


def _share_problem(text: str) -> str:
    try:
        as_count_or_share(text)
    except ValueError:
        return "a count such as 20, or a share such as 0.05"
    return ""


def _count_problem(text: str) -> str:
    return "" if text.isdigit() and int(text) >= 1 else "a whole number of at least 1"


_VALUE_CHECKS: Mapping[str, Callable[[str], str]] = {
    "count": _count_problem,
    "share": _share_problem,
}


def typed_again(words: Sequence[str]) -> str:
    """Return the command line as it can be pasted into a shell."""
    import shlex

    return shlex.join(["freehold", *words])


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` was probably meant to be, if any is near."""
    import difflib

    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def parse(words: Sequence[str]) -> Invocation:
    """Understand a command line.

    Raises:
        Misused: an unknown verb or flag, a value that is missing or impossible, or too many or
            too few arguments. The message names the word; `help` says what to type.
    """
    given, plain, literal = _sort(words)
    verb, arguments = _take_verb([*plain, *literal], is_literal=not plain)
    _refuse_strangers(given, verb)
    flags: dict[str, tuple[str, ...]] = {}
    for flag, value in given:
        flags[flag.key] = (*flags.get(flag.key, ()), value)
    name = verb.name if verb else ""
    if not (flags.keys() & {"help", "version"}):
        _refuse_wrong_count(verb, arguments)
    return Invocation(name, tuple(arguments), flags, tuple(words))


def _sort(words: Sequence[str]) -> tuple[Given, list[str], list[str]]:
    """Return flags with their values, plain words, and the words after `--`."""
    every = _all_flags()
    given: Given = []
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return given, plain, rest
        if word == "-" or not word.startswith("-"):
            plain.append(word)
        elif word.startswith("--"):
            given.append(_long(word, rest, every))
        else:
            given.extend(_short(word, rest, every))
    return given, plain, []


def _all_flags() -> dict[str, Flag]:
    """Return every flag by spelling. No spelling has two meanings; a test holds this."""
    return {name: flag for verb in (None, *VERBS) for flag in flags_of(verb) for name in flag.names}


def _long(word: str, rest: list[str], every: Mapping[str, Flag]) -> tuple[Flag, str]:
    name, equals, attached = word.partition("=")
    flag = every.get(name)
    if flag is None:
        raise _unknown_flag(name, every)
    if flag.kind == "switch":
        if equals:
            raise Misused("USE-006", f"`{name}` takes no value", help=f"write {name} alone")
        return flag, ""
    return flag, _checked(flag, name, attached if equals else _next(flag, name, rest, known=every))


def _short(word: str, rest: list[str], every: Mapping[str, Flag]) -> Given:
    """Read `-n 5`, `-n5`, `-n=5` and `-qy`."""
    given: Given = []
    letters = word[1:]
    while letters:
        name, letters = "-" + letters[0], letters[1:]
        flag = every.get(name)
        if flag is None:
            raise _unknown_flag(name if len(word) == 2 else word, every)
        if flag.kind == "switch":
            given.append((flag, ""))
            continue
        value = letters.removeprefix("=") if letters else _next(flag, name, rest, known=every)
        given.append((flag, _checked(flag, name, value)))
        letters = ""
    return given


def _next(flag: Flag, name: str, rest: list[str], *, known: Mapping[str, Flag]) -> str:
    is_there = bool(rest) and rest[0] != "--" and rest[0].partition("=")[0] not in known
    if flag.is_optional:
        return rest.pop(0) if is_there and rest[0] in flag.choices else ""
    if not is_there:
        raise Misused(
            "USE-006", f"`{name}` needs a value", help=f"write {name} {flag.value or 'VALUE'}"
        )
    return rest.pop(0)


def _checked(flag: Flag, name: str, value: str) -> str:
    if flag.kind == "choice" and value not in flag.choices and not (flag.is_optional and not value):
        meant = nearest(value, flag.choices)
        listed = ", ".join(flag.choices)
        help = f"did you mean {name} {meant}?" if meant else f"one of: {listed}"
        raise Misused("USE-006", f"`{name}` is {value!r}; it must be one of {listed}", help=help)
    needed = _VALUE_CHECKS.get(flag.kind, lambda _: "")(value)
    if needed:
        raise Misused(
            "USE-006", f"`{name}` is {value!r}; it must be {needed}", help="freehold --help"
        )
    return value


def _unknown_flag(name: str, every: Mapping[str, Flag]) -> Misused:
    meant = nearest(name, [spelling for spelling in every if len(spelling) > 2])
    help = f"did you mean {meant}?" if meant else "freehold --help lists every flag"
    return Misused("USE-001", f"unknown flag `{name}`", help=help)


def _take_verb(plain: list[str], *, is_literal: bool) -> tuple[Verb | None, list[str]]:
    if not plain:
        return None, []
    two = " ".join(plain[:2])
    for name, size in ((two, 2), (plain[0], 1)):
        if name in VERB_BY_NAME and not is_literal:
            return VERB_BY_NAME[name], plain[size:]
    raise _unknown_verb(plain)


def _unknown_verb(plain: Sequence[str]) -> Misused:
    meant = nearest(plain[0], [verb.name for verb in VERBS])
    help = f"did you mean freehold {meant}?" if meant else "freehold --help lists the verbs"
    if plain[0].endswith((".jsonl", ".json", ".csv", ".tsv", ".parquet")):
        help = f"freehold climb {plain[0]}"
    return Misused("USE-001", f"unknown verb `{plain[0]}`", help=help)


def _unknown_member(group: Verb, word: str) -> Misused:
    names = [member.name.split()[1] for member in members_of(group)]
    meant = nearest(word, names)
    help = f"did you mean freehold {group.name} {meant}?" if meant else f"freehold {group.name}"
    return Misused("USE-001", f"unknown verb `{group.name} {word}`", help=help)


def _refuse_strangers(given: Given, verb: Verb | None) -> None:
    known = {flag.key for flag in flags_of(verb)}
    for flag, _ in given:
        if flag.key in known:
            continue
        owners = [owner.name for owner in VERBS if flag in owner.flags]
        name = verb.name if verb else ""
        where = " and ".join(f"freehold {owner}" for owner in owners) or "freehold"
        raise Misused(
            "USE-001",
            f"`{flag.names[-1]}` does not belong to `{('freehold ' + name).strip()}`",
            help=f"it belongs to {where}",
        )


def _refuse_wrong_count(verb: Verb | None, arguments: Sequence[str]) -> None:
    if verb is None:
        return
    if is_group(verb) and arguments:
        raise _unknown_member(verb, arguments[0])
    typed = f"freehold {verb.name}"
    if len(arguments) < verb.at_least:
        missing = verb.arguments.split()[0]
        raise Misused("USE-006", f"`{typed}` needs {missing}", help=verb.examples[0][0])
    if verb.at_most is not None and len(arguments) > verb.at_most:
        surplus = arguments[verb.at_most]
        raise Misused(
            "USE-006",
            f"`{typed}` takes {verb.at_most or 'no'} argument, and {surplus!r} is one more",
            help=f"{typed} --help",
        )
