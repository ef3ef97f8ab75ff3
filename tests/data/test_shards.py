# pyright: basic
"""What shards give is what one process gives: on processes, and on a Ray cluster of two workers."""

from __future__ import annotations

import random
import warnings
from collections.abc import Generator
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
    folder = tmp_path_factory.mktemp("shards")
    texts = some_texts(600)
    cuts = (0, 150, 151, 480, 600)
    paths = [folder / f"{number}.parquet" for number in range(4)]
    for path, start, end in zip(paths, cuts[:-1], cuts[1:], strict=True):
        pq.write_table(pa.table({"input": texts[start:end]}), path)
    return texts, shards_of(paths)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    """A Ray cluster on this machine, with two workers."""
    ray = pytest.importorskip("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own, about its future defaults
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200_000_000,
            logging_level="ERROR",
        )
        from freehold.data.on_ray import OnRay

        ray.data.DataContext.get_current().enable_progress_bars = False
        yield OnRay(partitions=2)
        ray.shutdown()


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


@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_of_two_workers_gives_the_same(
    written: tuple[list[str], tuple[Shard, ...]], cluster: Engine
) -> None:
    check_duplicates(written, cluster)
    check_contamination(written, cluster)


def test_shards_without_rows_or_repeats_give_no_groups(tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pq.write_table(pa.table({"input": pa.array([], pa.string())}), paths[0])
    pq.write_table(pa.table({"input": ["one text", "quite another"]}), paths[1])
    found = duplicates_in(shards_of(paths), column="input", engine=Here())
    assert found.roots == (0, 1)
