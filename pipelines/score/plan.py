"""Which shards a command is to score: those of its source that are its part and are not there yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pipelines.score import results, shards
from pipelines.score.places import Folder, Objects
from pipelines.score.results import ResultsError
from pipelines.score.shards import Shard
from pipelines.score.sources import Source, SourceError


@dataclass(frozen=True)
class Choice:
    """Which photos of a source are scored, and how they are cut.

    Attributes:
        size: photos of a shard.
        limit: only the first so many; None for all.
        sample: fraction of them that is taken, above 0 to 1.
        seed: of the sample.
        part: number of the part of the shards to score, from 0.
        parts: how many there are.
    """

    size: int
    limit: int | None = None
    sample: float = 1.0
    seed: int = 0
    part: int = 0
    parts: int = 1


@dataclass
class Plan:
    """The shards of a command.

    Attributes:
        source: of the keys.
        choice: which of them.
        settings: all that the answers depend on beside the keys.
        out: where results go.
        there: names of the files of shards that are there already, by the shards' numbers.
        skipped: photos of shards that were found there.
    """

    source: Source
    choice: Choice
    settings: Mapping[str, object]
    out: Folder | Objects
    there: Mapping[int, str]
    skipped: int = 0

    def missing(self) -> Iterator[Shard]:
        """Yield the shards that are to be scored, while the source is being listed.

        Raises:
            SourceError: the source cannot be listed, or there are no photos.
            PlaceError: its place does not answer.
            ResultsError: there are results of other keys than the source's.
        """
        count = 0
        for shard in self._all():
            count += 1
            if results.require_same(self.there, shard, self.out):
                self.skipped += len(shard.keys) if self._mine(shard) else 0
            elif self._mine(shard):
                yield shard
        if not count:
            raise SourceError("There are no photos to score.")
        if beyond := [name for number, name in self.there.items() if number >= count]:
            raise ResultsError(results.OTHER_KEYS.format(out=self.out, name=beyond[0]))

    def count(self) -> int:
        """Return how many photos there are to score: lists all of the source.

        Raises:
            SourceError: it cannot be listed.
            PlaceError: its place does not answer.
        """
        own = (shard for shard in self._all() if self._mine(shard) and shard.number not in self.there)
        return sum(len(shard.keys) for shard in own)

    def _all(self) -> Iterator[Shard]:
        choice, keys = self.choice, self.source.keys()
        if choice.sample < 1:
            keys = shards.sample(keys, choice.sample, choice.seed)
        return shards.cut(islice(keys, choice.limit), choice.size, self.settings)

    def _mine(self, shard: Shard) -> bool:
        return shard.number % self.choice.parts == self.choice.part
