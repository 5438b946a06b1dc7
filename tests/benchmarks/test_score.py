"""What the benchmark of scoring measures is work that is shared out evenly."""

import pytest

from benchmarks.score import SHARD_SIZE, even
from pipelines.score.shards import cut


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
@pytest.mark.parametrize("photos", [1, 99, 100, 101, 500, 2000])
def test_each_worker_gets_as_many_whole_shards(photos, workers):
    count = even(photos, workers)
    shards = list(cut(map(str, range(count)), SHARD_SIZE, {}))
    assert photos <= count < photos + workers * SHARD_SIZE
    assert len(shards) % workers == 0
    assert {len(shard.keys) for shard in shards} == {SHARD_SIZE}
