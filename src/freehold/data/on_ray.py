# pyright: basic
"""Run the work of `shards.py` on a Ray cluster, by Ray Data. Needs `pip install freehold[ray]`."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from freehold.core.errors import MachineError
from freehold.data.shards import Columns, concatenated


class OnRay:
    """Runs the work as tasks of the Ray cluster that `ray.init` reached; shards must be readable there.

    Args:
        partitions: into how many a shuffle divides the rows; each takes a place in the cluster.

    Raises:
        MachineError: Ray is not installed (DAT-050).
    """

    def __init__(self, *, partitions: int = 16) -> None:
        self._partitions = partitions
        try:
            self._ray = importlib.import_module("ray")
            self._data = importlib.import_module("ray.data")
        except ImportError as error:
            raise MachineError(
                "DAT-050",
                "Ray is not installed, so that no cluster can work on the shards",
                help="pip install 'freehold[ray]', or use the cores of this machine: Processes()",
            ) from error

    def each(self, work: Callable[[int], Columns], count: int) -> Columns:
        """See `shards.Engine.each`."""
        return self._collected(self._tasks(work, count))

    def each_then(
        self, work: Callable[[int], Columns], count: int, *, then: Callable[[Columns], Columns]
    ) -> Columns:
        """See `shards.Engine.each_then`."""
        groups = self._tasks(work, count).groupby("part", num_partitions=self._partitions)
        return self._collected(groups.map_groups(_plain(then), batch_format="numpy"))

    def _tasks(self, work: Callable[[int], Columns], count: int):
        def of_number(batch: Columns) -> Columns:
            return work(int(batch["id"][0]))

        numbers = self._data.range(count, override_num_blocks=count)
        return numbers.map_batches(of_number, batch_size=1, batch_format="numpy")

    def _collected(self, dataset) -> Columns:
        """Return all blocks as one table. A block without rows may have lost its columns."""
        batches = list(dataset.iter_batches(batch_size=None, batch_format="numpy"))
        filled = [batch for batch in batches if batch and len(next(iter(batch.values())))]
        if not filled:
            return {name: np.zeros(0, dtype=np.int64) for batch in batches[:1] for name in batch}
        return concatenated(filled)


def _plain(work: Callable[[Columns], Columns]) -> Callable[[Columns], Columns]:
    """Return the work as a function, which Ray takes where it takes no other callable."""

    def done(table: Columns) -> Columns:
        return work(table)

    return done
