"""Rewritten targets: the base's own right answers stand in for the wanted ones; labels stay."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows
from tests.ladder.tiny_ladder import tools_of

from freehold.core.message import Message
from freehold.core.sections import LoraSpec
from freehold.core.taskfile import parse_task_file
from freehold.ladder.lora import own_words
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.tools import Models
from freehold.ladder.trained import renderer
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store


def json_task(root: Path) -> Prepared:
    rows = [{"text": f"n is {n}", "answer": {"n": n}} for n in range(40)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return prepare(parse_task_file("task: t\ndata: rows.jsonl\n"), root=root)


def spaced_where_even(messages: Sequence[Message]) -> str:
    """The right object in other words for even numbers, a wrong one for odd numbers."""
    number = int(messages[-1].content.split()[-1])
    return f'{{ "n":{number} }}' if number % 2 == 0 else '{"n": -1}'


def test_only_right_answers_of_the_base_become_targets(tmp_path: Path) -> None:
    task = json_task(tmp_path)
    model = ScriptedModel(spaced_where_even)
    models = Models(cache=tmp_path, open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        tools = tools_of(task, store, models)
        own = own_words(LoraSpec(rewrite=True), tools, 32)
        render = renderer(tools, own)
        for example in task.snapshot.train.examples:
            number = int(example.input.split()[-1])
            wanted = f'{{ "n":{number} }}' if number % 2 == 0 else f'{{"n": {number}}}'
            assert render(example).answer == wanted
        asked = model.calls
        assert own_words(LoraSpec(rewrite=True), tools, 32) == own
        assert model.calls == asked


@pytest.mark.parametrize("rewrite", [True, False])
def test_labels_and_the_switch_off_ask_nothing(tmp_path: Path, rewrite: bool) -> None:
    if rewrite:
        rows = colour_rows(40)
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = prepare(parse_task_file("task: t\ndata: rows.jsonl\n"), root=tmp_path)
    else:
        task = json_task(tmp_path)
    model = ScriptedModel(spaced_where_even)
    models = Models(cache=tmp_path, open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        tools = tools_of(task, store, models)
        assert own_words(LoraSpec(rewrite=rewrite), tools, 32) == {}
    assert model.calls == 0
