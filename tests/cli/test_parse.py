"""Words in, invocation out; what cannot be understood says what to type."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.cli.grammar import (
    GLOBAL_FLAGS,
    RUNGS,
    TOP_FLAGS,
    VERB_BY_NAME,
    VERBS,
    flags_of,
    members_of,
)
from freehold.cli.helptext import top_help, verb_help
from freehold.cli.parse import Invocation, Misused, as_count_or_share, parse
from freehold.cli.words import Flag
from freehold.core.sections import RUNG_NAMES


def words(line: str) -> list[str]:
    return shlex.split(line)


def meaning(invocation: Invocation) -> tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]:
    return invocation.verb, invocation.arguments, dict(invocation.flags)


def test_global_flags_mean_the_same_before_and_after_the_verb() -> None:
    before = parse(words("-n 5 -s bar.quality=0.9 --json climb data.jsonl"))
    after = parse(words("climb data.jsonl -n 5 -s bar.quality=0.9 --json"))
    assert meaning(before) == meaning(after)
    assert before.number("limit") == 5
    assert before.texts("set") == ("bar.quality=0.9",)
    assert before.has("json")


@pytest.mark.parametrize("typed", ["-n 5", "-n5", "-n=5", "--limit 5", "--limit=5"])
def test_every_way_to_write_a_value_is_read(typed: str) -> None:
    assert parse(words(f"climb {typed}")).number("limit") == 5


def test_short_switches_may_be_bundled() -> None:
    invocation = parse(words("climb -qy"))
    assert invocation.has("quiet") and invocation.has("yes")


def test_repeatable_flags_keep_every_value_in_order() -> None:
    assert parse(words("climb -s a=1 -s b=2")).texts("set") == ("a=1", "b=2")


def test_after_two_dashes_everything_is_an_argument() -> None:
    assert parse(words("climb -- --odd-name.jsonl")).arguments == ("--odd-name.jsonl",)


def test_a_single_dash_is_standard_input() -> None:
    assert parse(words("climb -")).arguments == ("-",)


def test_a_value_may_begin_with_a_dash() -> None:
    assert parse(words("eval c1 -i '-- hello'")).text("input") == "-- hello"


def test_a_verb_of_two_words_is_one_verb() -> None:
    invocation = parse(words("train scratch model --text a.txt --text b.txt"))
    assert (invocation.verb, invocation.arguments) == ("train scratch", ("model",))
    assert invocation.texts("text") == ("a.txt", "b.txt")


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("clmb", "unknown verb `clmb`", "did you mean freehold climb?"),
        ("examples.jsonl", "unknown verb `examples.jsonl`", "freehold climb examples.jsonl"),
        ("data ad", "unknown verb `data ad`", "did you mean freehold data add?"),
        ("climb --strct", "unknown flag `--strct`", "did you mean --strict?"),
        ("climb -Z", "unknown flag `-Z`", "freehold --help"),
        ("climb --against c1", "`--against` does not belong to `freehold climb`", "report"),
        ("climb --display rihc", "`--display` is 'rihc'", "did you mean --display rich?"),
        ("climb -n none", "`-n` is 'none'", "freehold --help"),
        ("climb -n 0", "`-n` is '0'", "freehold --help"),
        ("climb -n", "`-n` needs a value", "write -n N"),
        ("climb -n --json", "`-n` needs a value", "write -n N"),
        ("climb --json=yes", "`--json` takes no value", "--json"),
        ("climb a.jsonl b.jsonl", "'b.jsonl' is one more", "freehold climb --help"),
        ("climb --max-failed 1.5", "`--max-failed` is '1.5'", "freehold --help"),
        ("eval", "`freehold eval` needs MODEL", "freehold eval"),
        ("train lora more", "takes 1 argument", "freehold train --help"),
        ("serve", "unknown verb `serve`", "freehold --help"),
    ],
)
def test_what_is_not_understood_is_named_with_the_way_out(
    line: str, message: str, help: str
) -> None:
    with pytest.raises(Misused) as caught:
        parse(words(line))
    assert message in caught.value.message
    assert help in caught.value.help


def test_help_needs_no_arguments() -> None:
    assert parse(words("eval --help")).has("help")


@pytest.mark.parametrize(("text", "value"), [("20", 20), ("0", 0), ("0.05", 0.05), ("5%", 0.05)])
def test_a_count_is_an_int_and_a_share_a_float(text: str, value: float) -> None:
    read = as_count_or_share(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["", "many", "-1", "1.0", "1.5", "100%", "nan"])
def test_what_is_neither_count_nor_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        as_count_or_share(text)


def test_no_spelling_of_a_flag_has_two_meanings() -> None:
    seen: dict[str, Flag] = {}
    for verb in (None, *VERBS):
        for flag in flags_of(verb):
            for name in flag.names:
                assert seen.setdefault(name, flag) == flag, name


def test_every_example_of_the_help_is_understood() -> None:
    for verb in VERBS:
        for command, _ in verb.examples:
            typed = shlex.split(command.split(" > ")[0])
            assert typed[0] == "freehold"
            assert parse(typed[1:]).verb == verb.name


def test_the_rungs_offered_are_those_of_the_task_file() -> None:
    assert RUNGS == RUNG_NAMES


anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
known = st.sampled_from(
    [name for flag in (*GLOBAL_FLAGS, *TOP_FLAGS) for name in flag.names]
    + [verb.name.split()[0] for verb in VERBS]
)


@given(st.lists(anything | known, max_size=6))
def test_any_words_are_understood_or_refused_with_help(line: list[str]) -> None:
    try:
        invocation = parse(line)
    except Misused as refused:
        assert refused.message
        assert refused.help
    else:
        assert invocation.words == tuple(line)


def test_the_page_of_all_verbs_shows_the_data_verbs_in_one_line() -> None:
    lines = [line for line in top_help().splitlines() if line.startswith("  data")]
    assert len(lines) == 1
    members = members_of(VERB_BY_NAME["data"])
    assert len(members) == 12
    page = verb_help(VERB_BY_NAME["data"])
    for member in members:
        assert f"  {member.name.split()[1]} " in page
