"""Licence and consent: whose word counts, how rows are summed up, and what a release is told."""

from pathlib import Path

import pytest

from freehold.core.sections import Columns, DataSection, SplitSpec
from freehold.core.snapshot import Example, Origin, Snapshot, Synthetic
from freehold.core.taskfile import parse_task_file
from freehold.data.read import Reading, read
from freehold.data.snapshot import freeze
from freehold.data.terms import consent_problems, licence_problems, terms_of, with_terms


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    lines = ["input,target,Licence,consent"]
    for n in range(60):
        licence = "CC-BY-4.0" if n % 3 == 0 else ""
        consent = {0: "given", 1: "withdrawn"}.get(n % 20, "")
        lines.append(f"text number {n * n * 7919},{'a' if n % 2 else 'b'},{licence},{consent}")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    return read("a.csv", columns=Columns(), root=tmp_path)


def frozen(reading: Reading) -> Snapshot:
    return freeze(reading, spec=SplitSpec(test=15, dev=5, audit=5))


def test_a_rows_own_word_counts_before_its_sources(reading: Reading) -> None:
    terms = terms_of(frozen(with_terms(reading, licence={"a.csv": "own"}, consent=None)))
    assert terms.licences == {"own": 40, "CC-BY-4.0": 20}
    assert terms.without_licence == 0
    assert terms.consents == {"given": 3, "withdrawn": 3}
    assert (terms.without_consent, terms.refused, terms.rows) == (54, 3, 60)


def test_without_any_word_nothing_is_changed(reading: Reading) -> None:
    bare = reading.model_copy(
        update={"examples": tuple(e.model_copy(update={"fields": {}}) for e in reading.examples)}
    )
    assert with_terms(bare, licence=None, consent=None) is bare
    assert terms_of(frozen(bare)).without_licence == 60


def test_a_row_that_a_model_wrote_has_the_terms_of_its_teacher() -> None:
    made = Synthetic(method="self_instruct", seed=1, teacher="big", licence="llama3.1")
    rows = (
        Example(
            id="1",
            input="a",
            target="x",
            source="made.jsonl",
            origin=Origin(source="a.csv", synthetic=made),
        ),
        Example(
            id="2", input="b", target="y", source="made.jsonl", origin=Origin(source="a.csv", row=3)
        ),
    )
    reading = Reading(examples=rows, drops=(), sources=(), format="x/y", columns=Columns())
    found = with_terms(reading, licence={"a.csv": "CC0"}, consent="all gave it")
    assert [e.licence for e in found.examples] == ["llama3.1", "CC0"]
    assert {e.consent for e in found.examples} == {"all gave it"}


def test_a_release_is_told_of_rows_it_may_not_use(reading: Reading) -> None:
    snapshot = frozen(with_terms(reading, licence=None, consent=None))
    assert licence_problems(snapshot, ["cc-by-4.0", "unknown"]) == ()
    [problem] = licence_problems(snapshot, ["CC-BY-4.0"])
    assert problem.code == "DAT-082"
    assert problem.message == "40 rows have no known licence; allowed: CC-BY-4.0"
    messages = [p.message for p in licence_problems(snapshot, [])]
    assert messages[0].startswith("20 rows have the licence `CC-BY-4.0`")
    [refused] = consent_problems(snapshot)
    assert refused.code == "DAT-083"
    assert "3 rows" in refused.message


def test_the_task_file_names_terms_for_all_files_or_each() -> None:
    text = "task: t\ndata: {examples: a.csv, licence: {a.csv: CC0}, consent: asked in 2025}\n"
    assert parse_task_file(text).data == DataSection(
        examples="a.csv", licence={"a.csv": "CC0"}, consent="asked in 2025"
    )
