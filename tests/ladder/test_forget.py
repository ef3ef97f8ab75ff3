"""Forgetting: nowhere a byte of the person, whatever it was written in, also after being stopped anywhere."""

import gzip
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from freehold.core.candidate import Candidate
from freehold.core.errors import DataError
from freehold.core.measure import Answer, Result, Run
from freehold.core.outcome import Scored
from freehold.core.sections import DataSection, SplitSpec
from freehold.core.snapshot import Snapshot
from freehold.data.derived import with_step, write_examples
from freehold.data.erase import Wanted, folded, readings_of
from freehold.data.people import Place
from freehold.data.read import read
from freehold.data.snapshot import freeze
from freehold.ladder.domains import BufferRow
from freehold.ladder.forget import Forgetting, Plan, unfinished
from freehold.ladder.sweep import unpacked
from freehold.store.lineage import Thing, descend, keep_snapshot, marks, split_things
from freehold.store.store import Store

pa: Any = import_module("pyarrow")  # its types are incomplete
pq: Any = import_module("pyarrow.parquet")
MAIL = "jane.doe@example.org"
SECRET = "My name is Jané Doe and my parcel 4711 never came"
WANTED = Wanted("match", MAIL)
SECTION = DataSection(examples=("data/a.jsonl", "data/b.csv"), documents="docs")


SEED = 3


def clock() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def own_words(text: str) -> str:
    """Return words that no other text has, so that rows are no near duplicates."""
    digits = hashlib.sha256(text.encode()).hexdigest()
    return " ".join(digits[n : n + 6] for n in range(0, 48, 6))


class Stopped(Exception):
    """Stands for a kill: nothing after it is run."""


def make_project(root: Path) -> None:
    """Write a project as it is after a climb: files of the user, of Freehold, and a state with everything."""
    (root / "data").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "reports").mkdir()
    rows = [
        {
            "id": f"a{n}",
            "input": own_words(f"order {n}"),
            "target": "ship" if n % 2 else "pay",
        }
        for n in range(40)
    ]
    for place, more in {3: "refund me today", 11: "thrice in one week", 23: "so cancel it"}.items():
        rows[place]["input"] = f"{more} {own_words(more)}. {SECRET}. Write to {MAIL.upper()}"
    lines = [json.dumps(row) for row in rows]
    (root / "data/a.jsonl").write_text("\n".join(lines) + "\n")
    quoted = f'"Hello ""you""\nI am {MAIL}",pay'
    cells = [f"Bill {own_words(str(n))} is wrong,pay" for n in range(20)]
    (root / "data/b.csv").write_text("input,target\n" + "\n".join([*cells, quoted]) + "\n")
    (root / "docs/help.md").write_text(f"# Help\n\nAsk {MAIL} about it.\n\nOr do not.\n")
    with Store.open(root, clock=clock) as store:
        fill(root, store)


def fill(root: Path, store: Store) -> None:
    reading = read(SECTION.examples, columns=SECTION.columns, root=root)
    masked = [
        with_step(e, "scrub: email masked").model_copy(update={"input": "My parcel never came"})
        for e in reading.examples
        if MAIL in e.input.lower() and e.source == "data/a.jsonl"
    ]
    others = [with_step(e, "kept") for e in reading.examples[30:34]]
    write_examples([*masked, *others], root / "data/made.jsonl", root=root)
    snapshot = freeze(reading, spec=SplitSpec(test=15, dev=5, audit=5, seed=SEED))
    handle = keep_snapshot(store, snapshot)
    climb = Thing(kind="climb", key="climb key", name=store.handle("c", "climb key").name)
    descend(store, climb, Thing(kind="snapshot", key=handle.key, name=handle.name))
    train = split_things(snapshot)["train"]
    for rung, files in (
        ("lora", {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}),
        ("few_shot", {"shots.json": json.dumps([e.to_json() for e in snapshot.train.examples])}),
        ("baseline", {"words.json": b'["jane", "doe"]'}),
    ):
        candidate = Candidate(
            rung=rung,  # pyright: ignore[reportArgumentType]
            question_digest="q",
            spec={},
            train_digest=train.key,
            artefacts={
                name: store.blobs.put(c if isinstance(c, bytes) else c.encode())
                for name, c in files.items()
            },
        )
        store.put(candidate)
        descend(store, Thing(kind="candidate", key=candidate.digest, name=rung), train)
    vectors = store.blobs.put(b"vectors of the rows")
    descend(store, Thing(kind="embeddings", key="e"), train)
    store.note("embeddings", "e", {"blob": vectors, "seconds": 1.0})
    results = [
        Result(example_id=e.id, answer=Answer(raw=f"you said {e.input}"), outcome=Scored(score=1))
        for e in snapshot.test.examples
    ]
    for result in results:
        store.ledger.keep_result("w", result.example_id, result.model_dump_json())
    run = Run(
        candidate_digest="x",
        split="test",
        split_digest=snapshot.test.digest,
        results=tuple(results),
    )
    store.remember("run", run)
    (root / "reports/c1.html").write_text(f"<p>{MAIL.replace('.', '&#46;')}</p>")
    adapter = store.folder / "adapters" / "t1"
    adapter.mkdir(parents=True)
    buffer = [BufferRow(domain="d", use="rehearse", example=e) for e in snapshot.train.examples]
    (adapter / "buffer.jsonl").write_text("".join(b.model_dump_json() + "\n" for b in buffer))
    (store.folder / "mishaps").mkdir()
    (store.folder / "mishaps" / "m.txt").write_text(f"Traceback {MAIL}")
    (store.folder / "mishaps" / "log.jsonl").write_text(f'{{"a": 1}}\n{{"a": "{MAIL}"}}\n')
    labels = sqlite3.connect(store.folder / "labels.db")
    labels.execute("CREATE TABLE labels (row TEXT, label TEXT)")
    labels.executemany("INSERT INTO labels VALUES (?, ?)", [("a", "x"), (f"{SECRET} {MAIL}", "y")])
    labels.commit()
    labels.close()
    (store.folder / "blobs" / ".writing-0123").write_bytes(SECRET.encode())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path / "project")
    return tmp_path / "project"


def forget(root: Path, *, stop_at: int | None = None, wanted: Wanted = WANTED) -> Plan:
    """Forget as the verb does: finish what was begun, plan, carry out."""
    steps = 0

    def on_step(_name: str) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise Stopped

    with Store.open(root, clock=clock) as store:
        forgetting = Forgetting(Place(root, SECTION), store, on_step)
        forgetting.resume()
        plan = forgetting.plan(wanted)
        if not plan.is_empty:
            forgetting.carry_out(plan)
        elif forgetting.has_begun(wanted):
            forgetting.finish(wanted)
        return plan


def still_there(root: Path) -> list[str]:
    """Search every byte of every file, packed ones unpacked, in every form of writing."""
    needles = [folded(MAIL), folded(SECRET), "jané doe", "parcel 4711"]
    found: list[str] = []
    for path in root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            said = [text for part in unpacked(content) for text in readings_of(part)]
            if any(needle in text for needle in needles for text in said):
                found.append(str(path.relative_to(root)))
    return found


def test_the_search_of_these_tests_finds_the_person_before(project: Path) -> None:
    found = still_there(project)
    kinds = ("data/a.jsonl", "data/b.csv", "docs/help.md", "c1.html", "buffer.jsonl", "ledger.db")
    for name in (*kinds, "m.txt", ".writing-0123"):
        assert any(name in path for path in found), name
    assert len([path for path in found if "blobs" in path]) >= 3


def check_clean(root: Path) -> None:
    assert still_there(root) == []
    rows = (root / "data/a.jsonl").read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == [
        f"a{n}" for n in range(40) if n not in {3, 11, 23}
    ]
    assert (root / "data/b.csv").read_text().endswith(f"Bill {own_words('19')} is wrong,pay\n")
    assert (root / "docs/help.md").read_text() == "# Help\n\nOr do not.\n"
    made = [json.loads(line) for line in (root / "data/made.jsonl").read_text().splitlines()]
    assert [row["id"] for row in made] == ["a30", "a31", "a32", "a33"]
    assert [row["freehold"]["row"] for row in made] == [28, 29, 30, 31]
    with Store.open(root, clock=clock) as store:
        assert store.ledger.verify() is None
        assert not unfinished(store)
        whole = store.ledger.handles("s")[0].key
        found = marks(store.ledger)
        names = {mark.thing.name for mark in found.values()}
        assert {"s1", "c1", "lora", "few_shot", "baseline"} <= names
        assert {mark.rows for mark in found.values()} == {5}
        left = store.get(whole, Snapshot)
        assert sum(drop.reason == "forgotten" for drop in left.drops) == 4
        assert store.recall("run", Run) is not None
        lora = next(key for key, mark in found.items() if mark.thing.name == "lora")
        files = store.get(lora, Candidate).artefacts
        assert store.blobs.get(files["adapter_model.safetensors"]) == b"weights"
        shots = next(key for key, mark in found.items() if mark.thing.name == "few_shot")
        with pytest.raises(DataError, match="DAT-080"):
            store.blobs.get(store.get(shots, Candidate).artefacts["shots.json"])
        assert len(store.ledger.entries("forgotten")) == 1
        assert (store.folder / "mishaps/log.jsonl").read_text() == '{"a": 1}\n'
        labels = sqlite3.connect(store.folder / "labels.db")
        assert labels.execute("SELECT * FROM labels").fetchall() == [("a", "x")]
        labels.close()
        assert MAIL not in "".join(e.body + e.subject for e in store.ledger.all_entries())


def test_a_person_is_forgotten_everywhere_and_the_fact_is_kept(project: Path) -> None:
    before = (project / "data/a.jsonl").read_bytes().splitlines(keepends=True)
    plan = forget(project)
    assert [(f.name, f.numbers) for f in plan.people.files] == [
        ("data/a.jsonl", (4, 12, 24)),
        ("data/b.csv", (22,)),
        ("data/made.jsonl", (1, 2, 3)),
        ("docs/help.md", (3,)),
    ]
    check_clean(project)
    after = (project / "data/a.jsonl").read_bytes()
    assert after == b"".join(line for n, line in enumerate(before, 1) if n not in {4, 12, 24})
    again = forget(project)
    assert again.is_empty


def test_stopped_after_any_step_and_typed_again_it_ends_the_same(tmp_path: Path) -> None:
    stop, stopped = 0, True
    make_project(tmp_path / "fresh")
    while stopped and stop < 60:
        stop += 1
        root = tmp_path / f"p{stop}"
        shutil.copytree(tmp_path / "fresh", root)
        try:
            forget(root, stop_at=stop)
            stopped = False
        except Stopped:
            with Store.open(root, clock=clock) as store:
                assert unfinished(store) or stop > 1
            forget(root)
        check_clean(root)
    assert stop > 12


KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from freehold.core.sections import DataSection
from freehold.data.erase import Wanted
from freehold.data.people import Place
from freehold.ladder.forget import Forgetting
from freehold.store.store import Store

root = Path(sys.argv[1])
section = DataSection.from_json(sys.argv[2])
clock = lambda: datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
with Store.open(root, clock=clock) as store:
    forgetting = Forgetting(Place(root, section), store, lambda step: print(step, flush=True))
    forgetting.carry_out(forgetting.plan(Wanted("match", sys.argv[3])))
"""


@pytest.mark.parametrize("step", ["record", "snapshot", "file"])
def test_a_kill_in_the_middle_loses_nothing_and_is_finished_by_typing_it_again(
    project: Path, step: str
) -> None:
    words = [sys.executable, "-c", KILLED, str(project), SECTION.model_dump_json(), MAIL]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == step:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    forget(project)
    check_clean(project)


def test_rows_that_only_an_old_snapshot_holds_are_forgotten_too(project: Path) -> None:
    (project / "data/a.jsonl").unlink()
    (project / "data/made.jsonl").unlink()
    section = DataSection(examples="data/b.csv")
    with Store.open(project, clock=clock) as store:
        forgetting = Forgetting(Place(project, section), store)
        plan = forgetting.plan(Wanted("id", "a11"))
        assert plan.people.files == ()
        assert sum(one.total for one in plan.snapshots) == 1
        forgetting.carry_out(plan)
        left = store.get(plan.snapshots[0].thing.key, Snapshot)
        ids = {e.id for s in (left.train, left.dev, left.test, left.audit) for e in s.examples}
        assert "a11" not in ids
        assert "a3" in ids


def test_what_only_measured_with_a_row_is_not_called_learnt(project: Path) -> None:
    with Store.open(project, clock=clock) as store:
        snapshot = store.get(store.ledger.handles("s")[0].key, Snapshot)
        held = snapshot.test.examples[0]
        plan = Forgetting(Place(project, SECTION), store).plan(Wanted("id", held.id))
        assert {thing.kind for thing in plan.marked} == {"snapshot", "climb"}


def test_a_text_that_others_hold_too_tells_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": "1", "input": "Please send my money back", "target": "x"}\n'
        '{"id": "2", "input": "Please send my money back", "target": "y"}\n'
    )
    with Store.open(tmp_path, clock=clock) as store:
        plan = Forgetting(Place(tmp_path, DataSection(examples="a.jsonl")), store).plan(
            Wanted("id", "2")
        )
        assert plan.gone.texts == frozenset()
        assert [f.numbers for f in plan.people.files] == [(2,)]


def test_packed_and_columned_files_lose_their_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(
        gzip.compress(
            f'{{"input": "{MAIL}", "target": "x"}}\n{{"input": "b", "target": "y"}}\n'.encode()
        )
    )
    pq.write_table(pa.table({"input": ["c", MAIL], "target": ["x", "y"]}), tmp_path / "b.parquet")
    section = DataSection(examples=("a.jsonl.gz", "b.parquet"))
    with Store.open(tmp_path, clock=clock) as store:
        forgetting = Forgetting(Place(tmp_path, section), store)
        done = forgetting.carry_out(forgetting.plan(WANTED))
        assert done.files == {"a.jsonl.gz": 1, "b.parquet": 1}
    assert (
        gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())
        == b'{"input": "b", "target": "y"}\n'
    )
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 1
    assert still_there(tmp_path) == []


def test_a_condition_that_no_file_knows_is_refused(project: Path) -> None:
    with Store.open(project, clock=clock) as store, pytest.raises(DataError, match="custmer"):
        Forgetting(Place(project, SECTION), store).plan(Wanted("filter", 'custmer == "c"'))


def test_a_file_that_changed_meanwhile_is_left_alone(project: Path) -> None:
    steps: list[str] = []

    def on_step(name: str) -> None:
        steps.append(name)
        if name == "journal":
            raise Stopped

    with Store.open(project, clock=clock) as store:
        forgetting = Forgetting(Place(project, SECTION), store, on_step)
        with pytest.raises(Stopped):
            forgetting.carry_out(forgetting.plan(WANTED))
    changed = (
        project / "data/a.jsonl"
    ).read_text() + '{"id": "new", "input": "x", "target": "y"}\n'
    (project / "data/a.jsonl").write_text(changed)
    with Store.open(project, clock=clock) as store, pytest.raises(DataError, match="DAT-084"):
        Forgetting(Place(project, SECTION), store).resume()
    assert (project / "data/a.jsonl").read_text() == changed


def test_no_deleted_page_of_the_ledger_keeps_a_result(project: Path) -> None:
    forget(project)
    content = (project / ".freehold/ledger.db").read_bytes()
    assert SECRET.encode() not in content
    wal = project / ".freehold/ledger.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0
    with sqlite3.connect(project / ".freehold/ledger.db") as outside:
        assert outside.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    outside.close()
