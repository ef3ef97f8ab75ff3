"""The verbs on a model behind an endpoint that the user file describes, with a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import jsonschema
import pytest
from tests.cli.conftest import QUEUES
from tests.models.chat_server import Body, Handler, Served, is_probe, serving

from freehold.cli.main import main

TASK = """
task: tickets
instruction: Route the ticket.
data: {examples: examples.jsonl, split: {test: 20, dev: 10, audit: 8}}
model: far
bar: {quality: 0.5}
diagnose: {unstable: 0}
ladder: {rungs: [zero_shot, structured, lora], structured: {k: [2]}}
"""


def routes(body: Body) -> str:
    said = str(body["messages"][-1]["content"])
    if is_probe(body):
        return said[::-1][:20]
    queue = next((name for name, text in QUEUES.items() if text in said), "tech")
    return json.dumps({"answer": queue}) if "response_format" in body else queue


@pytest.fixture
def served(project: Path) -> Generator[Served]:
    (project / "task.yaml").write_text(TASK)
    with serving(Served(routes)) as server:
        describe(project, server)
        yield server


def describe(project: Path, server: Served, *, more: str = "") -> None:
    """Write the user file with the server as `far`."""
    file = project.parent / "config" / "freehold" / "config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"endpoints:\n  far:\n    url: {server.url}\n    model: tiny\n    retries: 0\n"
        "    dollars_per_million_input_tokens: 2.0\n    dollars_per_million_output_tokens: 10.0\n"
        + more
    )


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_climb_on_an_endpoint_is_checked_climbed_measured_and_reported(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 0
    out = shown(capsys)
    assert f"far: {served.url} (this machine), reachable, serves tiny" in out
    assert "price: $2.00 in, $10.00 out per million tokens" in out
    assert "mostly less; no budget" in out
    assert served.questions == []
    assert main(["check", "--plan"]) == 0
    assert "lora – skipped: an endpoint has no weights here" in shown(capsys)

    assert main(["climb", "--display", "none"]) == 0
    out = shown(capsys)
    assert "zero_shot 1.000" in out
    assert "name a local model in models.base.id" in out
    assert "endpoints" in out
    assert "from the cache" in out
    paid = len(served.questions)

    assert main(["climb", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [rung["state"] for rung in again["rungs"]] == ["measured", "measured", "skipped"]
    assert len(served.questions) == paid
    assert main(["report", "--format", "md"]) == 0
    assert "endpoints: " in shown(capsys)

    assert main(["eval", "far", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dollars_per_1k"] == pytest.approx(0.03, rel=0.01)
    assert len(served.questions) == paid  # the answers of zero_shot are known
    main(["check", "--schema", "eval"])
    jsonschema.validate(found, json.loads(capsys.readouterr().out))


def test_a_budget_that_is_reached_says_how_to_go_on(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["climb", "--display", "none", "-s", "budget.tokens=1200"]) == 0
    assert "budget reached: budget.tokens is 1,200" in shown(capsys)
    assert 11 * len(served.asked) <= 1200
    paid = set(served.questions)
    assert main(["climb", "--display", "none", "-s", "budget.tokens=90000"]) == 0
    assert "structured 1.000" in shown(capsys)
    assert len(served.questions) > len(paid)


def test_what_is_wrong_with_an_endpoint_is_one_error_with_its_way_out(
    project: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.models = ("big", "small")

    def unknown(handler: Handler, body: Body, number: int) -> bool:
        handler.say_json(404, {"error": {"message": "no such model"}})
        return True

    served.trouble = unknown
    assert main(["climb", "--display", "none"]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "END-003" in said
    assert "it serves: big, small" in said
    describe(project, served, more="    key: env:FAR_KEY_THAT_NOBODY_SET\n")
    assert main(["climb", "--display", "none"]) != 0
    assert "export FAR_KEY_THAT_NOBODY_SET" in capsys.readouterr().err
    (project / "task.yaml").write_text(
        TASK.replace("model: far", "models: {base: {endpoint: near}}")
    )
    assert main(["check"]) != 0
    captured = capsys.readouterr()
    assert "CFG-016" in captured.out + captured.err


def test_an_endpoint_that_is_down_is_a_warning_of_check_and_an_error_of_climb(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "task.yaml").write_text(TASK)
    with serving(Served(routes)) as server:
        describe(project, server)
    assert main(["check"]) == 0
    out = shown(capsys)
    assert "! END-001" in out
    assert "not reachable now" in out
    assert main(["climb", "--display", "none"]) != 0
    assert "END-001" in capsys.readouterr().err
