# pyright: basic
"""What shards give is what one process gives: on processes, and on a Ray cluster of two workers."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freehold.core.snapshot import Example
from freehold.data.contamination import Limits, certain_matches
from freehold.data.duplicates import find_duplicates, normalise
from freehold.data.shards import (
    Columns,
    Engine,
    Processes,
    Shard,
    by_part,
    concatenated,
    contamination_in,
    duplicates_in,
    shards_of,
)


class Here:
    """Runs the work in this process: the functions alone, without what carries them."""

    def each(self, work, count: int) -> Columns:
        return concatenated([work(number) for number in range(count)])

    def each_then(self, work, count: int, *, then) -> Columns:
        return concatenated([then(table) for table in by_part(self.each(work, count))])


def some_texts(count: int) -> list[str]:
    rng = random.Random(5)
    words = [f"{a}{b}" for a in ("re", "un", "pre", "over", "mis") for b in ("pay", "send", "card")]
    texts: list[str] = []
    while len(texts) < count:
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(2, 30)))
        texts.append(text)
        if rng.random() < 0.3:
            texts.append(text.upper() + "!")
        if rng.random() < 0.4:
            texts.append(f"{text} {rng.choice(words)[0]}")
    rng.shuffle(texts)
    return texts[:count]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], tuple[Shard, ...]]:
    return write_shards(tmp_path_factory.mktemp("shards"))


def write_shards(folder: Path) -> tuple[list[str], tuple[Shard, ...]]:
    texts = some_texts(600)
    cuts = (0, 150, 151, 480, 600)
    paths = [folder / f"{number}.parquet" for number in range(4)]
    for path, start, end in zip(paths, cuts[:-1], cuts[1:], strict=True):
        pq.write_table(pa.table({"input": texts[start:end]}), path)
    return texts, shards_of(paths)


CLUSTER = """
import sys
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
assert ray.get(ray.remote(lambda: 2).remote()) == 2
print("the cluster stands", flush=True)
sys.path.insert(0, sys.argv[1])
import test_shards
from freehold.data.on_ray import OnRay
ray.data.DataContext.get_current().enable_progress_bars = False
written = test_shards.write_shards(__import__("pathlib").Path(sys.argv[2]))
test_shards.check_contamination(written, OnRay(partitions=2))
test_shards.check_duplicates(written, OnRay(partitions=2))
print("the cluster gave the same")
"""


def check_duplicates(written: tuple[list[str], tuple[Shard, ...]], engine: Engine) -> None:
    texts, shards = written
    examples = [Example(id=str(n), input=text, target="a") for n, text in enumerate(texts)]
    found = duplicates_in(shards, column="input", engine=engine)
    assert found == find_duplicates(examples)
    assert found.duplicates > 50 and found.near_duplicates > 50


def check_contamination(written: tuple[list[str], tuple[Shard, ...]], engine: Engine) -> None:
    texts, shards = written
    long = [text for text in texts if len(text.split()) > 20]
    held_out = [texts[200], "nothing like it", long[0] + " x", " ".join(long[1].split()[:14]), ""]
    found = contamination_in(shards, held_out, column="input", engine=engine)
    keys = [normalise(text) for text in texts]
    alone = certain_matches([normalise(text) for text in held_out], keys, limits=Limits())
    assert found == alone
    assert {found[place].method for place in (0, 2, 3)} == {"repeat", "near", "run"}


def test_duplicates_of_shards_are_those_of_one_process(
    written: tuple[list[str], tuple[Shard, ...]],
) -> None:
    check_duplicates(written, Here())
    check_contamination(written, Here())


def test_processes_give_the_same(written: tuple[list[str], tuple[Shard, ...]]) -> None:
    check_duplicates(written, Processes(cores=2))


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_ray_cluster_of_two_workers_gives_the_same(tmp_path: Path) -> None:
    """In a process of its own: Ray starts programs that outlive the calls, and warns in ways of its own."""
    pytest.importorskip("ray")
    command = [sys.executable, "-c", CLUSTER, str(Path(__file__).parent), str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    except subprocess.TimeoutExpired:
        pytest.skip(
            "Ray's workers were not done in 240 seconds; this machine has too much else to do"
        )
    if "the cluster stands" not in done.stdout:
        pytest.skip(f"Ray cannot start two workers on this machine: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("the cluster gave the same\n")


def test_shards_without_rows_or_repeats_give_no_groups(tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pq.write_table(pa.table({"input": pa.array([], pa.string())}), paths[0])
    pq.write_table(pa.table({"input": ["one text", "quite another"]}), paths[1])
    found = duplicates_in(shards_of(paths), column="input", engine=Here())
    assert found.roots == (0, 1)
