"""`freehold export` and `freehold eval -i --messages`, on the bundled model."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from freehold.cli.main import main
from freehold.cli.shapes import EXPORT_SCHEMA

RUNGS = ("-s", "ladder.rungs=[baseline, few_shot, retrieve]", "-s", "ladder.few_shot.k=[2]")
QUICK = ("-s", "ladder.baseline.try=[majority]", "-s", "ladder.retrieve.k=[1]", "-n", "5")


@pytest.fixture
def climbed(project: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    main(["climb", "examples.jsonl", *RUNGS, *QUICK, "-q"])
    capsys.readouterr()
    return project


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_prompts_of_a_rung_are_seen_exported_and_the_same(
    climbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shape = said(capsys, "export", "c1/few_shot")
    assert code == 0
    jsonschema.validate(shape, EXPORT_SCHEMA)
    assert shape["folder"] == "exports/c1-few_shot/"
    folder = climbed / "exports/c1-few_shot"
    assert sorted(path.name for path in folder.iterdir()) == shape["files"]
    assert [path.name for path in (climbed / "exports").iterdir()] == ["c1-few_shot"]
    first = json.loads((folder / "messages.jsonl").read_text().splitlines()[0])
    question = first["messages"][-1]["content"]

    code, seen = said(capsys, "eval", "c1", "-i", question, "--messages")
    assert code == 0
    main(["check", "--schema", "eval"])
    jsonschema.validate(seen, json.loads(capsys.readouterr().out))
    by_rung = {one["rung"]: one for one in seen["prompts"]}
    assert by_rung["baseline"]["state"] == "no model"
    assert by_rung["few_shot"]["prompt"] == first["prompt"]
    assert by_rung["few_shot"]["sha256"] == first["sha256"]
    assert by_rung["few_shot"]["messages"] == first["messages"]

    assert main(["eval", "c1", "-i", question, "--messages"]) == 0
    shown = capsys.readouterr().out
    assert f"sha256 {first['sha256'][:12]}" in shown
    assert "baseline  – asks no model" in shown

    code, shape = said(capsys, "export", "c1/retrieve", "--to", "messages", "--split", "dev")
    assert (code, shape["folder"]) == (0, "exports/c1-retrieve-messages/")
    assert main(["export", "c1/few_shot", "-n", "2"]) == 0
    assert "2/2 prompts byte-equal" in capsys.readouterr().out
    assert len((folder / "messages.jsonl").read_text().splitlines()) == 2


def test_what_cannot_be_exported_says_so_and_writes_nothing(
    climbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        assert main(["export", *words]) == 2
        return capsys.readouterr().err

    assert "USE-013" in refused("c1/baseline")
    assert "USE-005" in refused("c1/lora")
    assert "USE-006" in refused("few_shot")
    assert "cannot hold them" in refused("c1/retrieve", "--to", "dspy")
    assert not (climbed / "exports").exists() or not any((climbed / "exports").iterdir())
    assert main(["export", "c1/few_shot", "--dry-run"]) == 0
    assert "nothing was done" in capsys.readouterr().out
    mine = climbed / "exports/c1-few_shot"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    assert "USE-014" in refused("c1/few_shot")
    assert (mine / "notes.txt").read_text() == "mine"
    assert main(["eval", "c1", "--messages"]) == 2
    assert "there is no `-i`" in capsys.readouterr().err


def test_audit_rows_leave_only_when_they_are_asked_for_and_that_is_a_look(
    climbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.ladder.tasks import at_noon

    from freehold.core.snapshot import AuditSplit
    from freehold.ladder.recall import finished_climb
    from freehold.store.store import Store

    def looks() -> tuple[int, AuditSplit]:
        with Store.open(climbed, clock=at_noon) as store:
            audit = finished_climb(store, "c1").snapshot.audit
            return len(store.ledger.entries("look at audit", subject=audit.digest)), audit

    before, audit = looks()
    assert main(["export", "c1/few_shot"]) == 0
    text = (climbed / "exports/c1-few_shot/messages.jsonl").read_text()
    assert not any(json.dumps(row.input) in text for row in audit.examples)
    assert looks()[0] == before
    for _ in range(2):
        assert main(["export", "c1/few_shot", "--split", "audit"]) == 0
        assert looks()[0] == before + 1
    capsys.readouterr()


def test_a_split_without_rows_is_named(climbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*RUNGS, *QUICK, "-s", "data.split.audit=0", "-q"]
    main(["climb", "examples.jsonl", *words])
    capsys.readouterr()
    assert main(["export", "c2/few_shot", "--split", "audit"]) == 2
    assert "USE-016" in capsys.readouterr().err
