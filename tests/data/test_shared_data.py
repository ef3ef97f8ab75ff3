"""Real data sets, each with what its README says is in it. Skipped where the folder is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from freehold.core.sections import Columns, SplitSpec
from freehold.core.task import JsonOutput, LabelOutput
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.detect import detect
from freehold.data.documents import read_documents
from freehold.data.duplicates import find_duplicates, normalise
from freehold.data.inspect import inspect
from freehold.data.read import Reading, read
from freehold.data.snapshot import freeze


def reading(root: Path, name: str) -> Reading:
    found = read(name, columns=Columns(), root=root)
    assert found.drops == ()
    return found


def test_banking77_is_split_without_its_25_leaked_rows(shared_data: Path) -> None:
    train = reading(shared_data, "banking77/train.jsonl")
    test = reading(shared_data, "banking77/test.jsonl")
    known = {normalise(e.input) for e in train.examples}
    assert sum(normalise(e.input) in known for e in test.examples) == 25
    assert find_duplicates(train.examples).duplicates == 31
    assert find_duplicates(test.examples).duplicates == 4

    snapshot = freeze(train, spec=SplitSpec(), test=test)
    assert len(snapshot.test) == 3080
    assert snapshot.drops_by_reason["repeats a test row"] == 25
    held_out = {normalise(e.input) for e in snapshot.test.examples}
    assert not held_out & {normalise(e.input) for e in snapshot.train.examples}
    assert "DAT-020" in {p.code for p in inspect(snapshot)}  # one text, two intents
    output = detect(train).output
    assert isinstance(output, LabelOutput) and len(output.labels) == 77


def test_clinc150_is_151_labels(shared_data: Path) -> None:
    train = reading(shared_data, "clinc150/train.jsonl")
    test = reading(shared_data, "clinc150/test.jsonl")
    snapshot = freeze(train, spec=SplitSpec(), test=test)
    assert (len(snapshot.test), len(snapshot.dev), len(snapshot.audit)) == (5500, 120, 100)
    assert snapshot.leaked >= 19
    assert detect(train).sentence == (
        "15,100 rows · input/target · 151 labels → classification → exact_match"
    )


def test_snips_answers_are_objects_with_a_closed_intent(shared_data: Path) -> None:
    found = reading(shared_data, "snips/train.jsonl")
    assert find_duplicates(found.examples).duplicates == 251
    output = detect(found).output
    assert isinstance(output, JsonOutput)
    properties = output.json_schema["properties"]
    assert isinstance(properties, dict)
    intent, slots = properties["intent"], properties["slots"]
    assert isinstance(intent, dict) and isinstance(intent["enum"], list)
    assert len(intent["enum"]) == 7
    assert isinstance(slots, dict) and isinstance(slots["properties"], dict)
    assert len(slots["properties"]) == 39
    lists = [s for s in slots["properties"].values() if isinstance(s, dict) and "anyOf" in s]
    assert lists  # the rows in which one slot holds a list
    listed = [e for e in found.examples if "[" in str(e.target)]
    assert len(listed) == 61


def test_pubmedqa_keeps_its_context_and_ids(shared_data: Path) -> None:
    train = reading(shared_data, "pubmedqa/train.jsonl")
    test = reading(shared_data, "pubmedqa/test.jsonl")
    first = test.examples[0]
    assert first.id == "21645374"
    assert first.context is not None and "\n\n" in first.context
    assert "long_answer" in first.fields
    snapshot = freeze(train, spec=SplitSpec(), test=test)
    assert (len(snapshot.test), snapshot.leaked) == (500, 0)
    assert detect(train).output == LabelOutput(labels=("maybe", "no", "yes"))


def test_all_444_repeats_of_sms_spam_are_found_and_stay_together(shared_data: Path) -> None:
    found = reading(shared_data, "sms_spam/messages.jsonl")
    snapshot = freeze(found, spec=SplitSpec())
    assert snapshot.duplicates == 444
    parts = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    texts = [{normalise(e.input) for e in part.examples} for part in parts]
    assert sum(len(part) for part in texts) == len(set[str]().union(*texts))


@pytest.mark.parametrize("name", ["peps", "xquad_en"])
def test_document_sets_are_read_and_cut(shared_data: Path, name: str) -> None:
    documents = read_documents(shared_data / name / "documents.jsonl")
    assert len(documents) == {"peps": 268, "xquad_en": 240}[name]
    for document in documents[:20]:
        passages = chunk(document, ChunkSpec(size=800))
        assert "".join("".join(p.text.split()) for p in passages) == "".join(document.text.split())
