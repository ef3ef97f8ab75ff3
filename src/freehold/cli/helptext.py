"""The help pages, made from the grammar: at most 88 columns, ending with what to type next."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.cli.grammar import GLOBAL_FLAGS, TOP_FLAGS, VERBS, is_group, members_of
from freehold.cli.words import Flag, Verb

_COLUMN = 28
_EXAMPLE_COLUMN = 50

_HEAD = """\
Freehold finds the cheapest thing that does your task well enough, measured on your own
data, on your own machine.

usage: freehold VERB [ARGUMENTS] [FLAGS]
       freehold                     where this task stands, and what to do next
"""

_TAIL = """\
start: freehold climb examples.jsonl            your own data, no settings
       freehold init --example ticket-routing   a bundled example
more:  freehold VERB --help
"""

_EXIT = """\
exit codes: 0 ok   1 unexpected   2 usage, settings or data   3 bar not met
            4 undecided, with --strict   130 interrupted, resumable
"""


def top_help() -> str:
    """Return the page of `freehold --help`: one line per verb or group, the flags, what to type first."""
    hidden = {member.name for verb in VERBS if is_group(verb) for member in members_of(verb)}
    shown = [verb for verb in VERBS if verb.name not in hidden]
    verbs = ["verbs:", *(f"  {verb.name:<15}{verb.summary}" for verb in shown), ""]
    flags = ["flags, with every verb:", *_flag_lines((*GLOBAL_FLAGS, *TOP_FLAGS)), ""]
    return "\n".join([_HEAD, *verbs, *flags, _EXIT, _TAIL])


def verb_help(verb: Verb) -> str:
    """Return the page of one verb: what it does, its verbs where it has some, examples, its flags."""
    usage = " ".join(part for part in (verb.name, verb.arguments, "[FLAGS]") if part)
    lines = [f"usage: freehold {usage}", "", verb.about, ""]
    if is_group(verb):
        lines += [f"verbs of {verb.name}:", *verb_lines(verb), ""]
    lines += ["examples:"]
    for command, what in verb.examples:
        left = f"  {command}"
        if len(left) > _EXAMPLE_COLUMN - 2:
            lines.append(left)
            left = ""
        lines.append(f"{left:<{_EXAMPLE_COLUMN}}{what}")
    lines += [""]
    if verb.flags:
        lines += [f"flags of {verb.name}:", *_flag_lines(verb.flags), ""]
    lines += ["flags, with every verb:", *_flag_lines(GLOBAL_FLAGS), ""]
    return "\n".join(lines)


def verb_lines(group: Verb) -> list[str]:
    """Return one line for each verb of a group."""
    members = members_of(group)
    return [f"  {member.name.split()[1]:<15}{member.summary}" for member in members]


def _flag_lines(flags: Iterable[Flag]) -> list[str]:
    lines: list[str] = []
    for flag in flags:
        spelling = ", ".join(flag.names)
        if flag.value:
            value = f"[{flag.value}]" if flag.is_optional else flag.value
            spelling = f"{spelling} {value}"
        indent = "  " if len(flag.names) > 1 else "      "
        left = indent + spelling
        if len(left) > _COLUMN - 2:
            lines.append(left)
            left = ""
        lines.append(f"{left:<{_COLUMN}}{flag.help}")
    return lines
