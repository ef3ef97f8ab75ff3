"""A task file is changed in one setting, and keeps its comments, its order and its quotes."""

from importlib import resources

import pytest

from freehold.core.errors import ConfigError
from freehold.core.taskedit import with_examples
from freehold.core.taskfile import parse_task_file

SHORT = """\
# yaml-language-server: $schema=.freehold/task.schema.json
task: ticket-routing
instruction: "Route the support ticket: one queue."   # said as it is
data: data/examples.jsonl            # format detected

bar:
  quality: 0.80                      # the lower bound must clear this
"""


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(old, new) for old, new in pairs if old != new]


def test_the_short_form_becomes_a_list_on_its_line() -> None:
    after = with_examples(SHORT, ["more.jsonl"])
    assert parse_task_file(after).data.examples == ("data/examples.jsonl", "more.jsonl")
    [(_, line)] = changed_lines(SHORT, after)
    assert line.startswith("data: [data/examples.jsonl, more.jsonl]")
    assert line.endswith("# format detected")


def test_the_bundled_example_can_be_added_to() -> None:
    bundled = resources.files("freehold.data").joinpath("example", "ticket-routing", "task.yaml")
    text = bundled.read_text()
    after = with_examples(text, ["a b.jsonl", "c: d.csv"])
    assert len(changed_lines(text, after)) == 1
    assert parse_task_file(after).data.examples == (
        "data/examples.jsonl",
        "a b.jsonl",
        "c: d.csv",
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            "data:\n  examples: a.jsonl   # mine\n  split: {test: 40}\n",
            "  examples: [a.jsonl, b.csv]",
        ),
        (
            "data: {examples: [a.jsonl, 'x y'], split: {seed: 1}}\n",
            "data: {examples: [a.jsonl, 'x y', b.csv]",
        ),
        (
            "data:\n  examples:\n    - a.jsonl # first\n    - c.jsonl\n  slices: [x]\n",
            "    - b.csv",
        ),
        ("data:\n  examples:\n  - a.jsonl\n  slices: [x]\n", "  - b.csv"),
    ],
)
def test_every_form_of_the_setting_is_kept(data: str, expected: str) -> None:
    text = f"task: t\n{data}# the end\nkept: {{items: 10}}\n"
    after = with_examples(text, ["b.csv"])
    assert expected in after
    assert "# the end" in after
    names = parse_task_file(after).data.examples
    assert names[-1] == "b.csv"
    assert parse_task_file(after).data.split == parse_task_file(text).data.split
    for comment in ("# mine", "# first"):
        assert (comment in after) == (comment in text)


def test_a_name_that_is_there_changes_nothing() -> None:
    text = "task: t\ndata: [a.jsonl, b.jsonl]\n"
    assert with_examples(text, ["a.jsonl"]) == text


def test_a_layout_that_would_be_lost_is_refused() -> None:
    text = "task:    t\ndata:    a.jsonl\nbar:\n      quality:   0.5\n      kept:   0.9\n"
    with pytest.raises(ConfigError, match="DAT-087"):
        with_examples(text, ["b.jsonl"])
