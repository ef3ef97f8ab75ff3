"""The suites that a task names: opened, kept away from training, and said in the report."""

from __future__ import annotations

import json
from pathlib import Path

from freehold.core.measure import Estimate, Kept, KeptFamily, RungResult, Verdict
from freehold.core.record import digest_json
from freehold.core.sections import KeptSection
from freehold.ladder.suites import open_suites, suite_notes, suites_digest
from freehold.models.scripted import ScriptedModel
from freehold.report.intervals import kept_families

ROWS: tuple[dict[str, object], ...] = (
    {"input": "Which of the two is the larger number by far, please?", "target": "the second"},
    {"prompt": "Say it in French.", "instruction_id_list": ["language:response_language"]},
)


def write(folder: Path, rows: tuple[dict[str, object], ...] = ROWS) -> KeptSection:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "keep.jsonl").write_text(text, encoding="utf-8")
    return KeptSection(suites=("keep.jsonl",))


def test_without_suites_nothing_changes(tmp_path: Path) -> None:
    assert open_suites(KeptSection(), root=tmp_path) == ()
    assert suites_digest(()) is None


def test_a_changed_suite_is_another_climb(tmp_path: Path) -> None:
    section = write(tmp_path)
    first = suites_digest(open_suites(section, root=tmp_path))
    write(tmp_path, (*ROWS, {"input": "One more?", "target": "yes"}))
    assert first != suites_digest(open_suites(section, root=tmp_path))
    assert first != digest_json("suites", [])


def test_a_suite_is_measured_by_its_name_and_says_what_it_asks(tmp_path: Path) -> None:
    (suite,) = open_suites(write(tmp_path), root=tmp_path)
    assert suite.texts() == (ROWS[0]["input"],)
    (result,) = suite.measure(ScriptedModel({}, default="the second"))
    assert result.family == "keep"


def test_the_report_says_each_suite_and_what_was_left_out(tmp_path: Path) -> None:
    suites = open_suites(write(tmp_path), root=tmp_path)
    kept = Kept(
        ratio=Estimate(mean=1.0, low=0.9, high=1.1, n=4),
        families=(KeptFamily(family="copy", n=4, before=1.0, after=1.0),),
        suites=(KeptFamily(family="keep", n=4, before=0.75, after=0.5),),
    )
    rung = RungResult(rung="lora", state="measured", kept=kept, verdict=Verdict.UNDECIDED)
    notes = suite_notes([rung], suites)
    assert notes[0] == "lora, suites, worst first: keep 0.750 before, 0.500 after"
    assert "1 x no check of language:response_language" in notes[1]
    drawn = str(kept_families(kept, rung="lora"))
    assert "keep" in drawn
    assert drawn.index("copy") < drawn.index("keep")
