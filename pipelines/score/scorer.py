"""Answers for a shard: threads fetch photos ahead, one thread decodes them and asks the model, in batches."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from cat_model.bundle import Bundle
from cat_model.cascade import FULL
from cat_model.photo import Decoded, PhotoError, decode_frame
from cat_model.predictor import BATCH, Predictor
from pipelines.score import results
from pipelines.score.places import DeniedError, Folder, Objects, PlaceError
from pipelines.score.results import Row
from pipelines.score.shards import Shard
from pipelines.score.sources import Photos

FETCHERS = 8
"""Threads that fetch: enough to hide the 100 ms that an object may take to come."""
AHEAD, AHEAD_BYTES = 32, 128_000_000
"""Photos that are fetched ahead at most, and bytes of them from which no further one is asked for."""
BATCH_PIXELS = 32_000_000
"""Pixels of decoded photos from which a batch is asked though it is not full: big ones fill the memory."""


class Stopped(Exception):
    """The worker was told to stop in the middle of a shard."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to score shards; it can be pickled.

    Attributes:
        photos: where they are read.
        out: where results go.
        bundle: of the model.
        thorough: whether every part of a photo is searched.
        embedding: whether embeddings are written too.
    """

    photos: Photos
    out: Folder | Objects
    bundle: Bundle
    thorough: bool = False
    embedding: bool = False


@dataclass(frozen=True)
class Done:
    """A shard whose results are written.

    Attributes:
        number: of the shard.
        photos: how many it has.
        errors: how many of them could not be used.
        bytes: that were read.
    """

    number: int
    photos: int
    errors: int
    bytes: int


class Scorer:
    """Holds the interpreter of one worker and scores shard after shard."""

    def __init__(
        self,
        job: Job,
        stop: Callable[[], bool] = lambda: False,
        at: Callable[[Sequence[int]], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Start the interpreter.

        Args:
            job: what to do.
            stop: is asked before each photo whether to give up the shard.
            at: is entered around what a photo may do harm to, decoding and the model, with the positions in
                the shard of the photos that are at work, in order.

        Raises:
            BundleError: the model cannot be served.
        """
        self._job = job
        self._stop, self._at = stop, at
        self._predictor = Predictor(job.bundle)
        self._fetchers = ThreadPoolExecutor(FETCHERS, "fetch")
        job.photos.connect()  # once, before eight threads need it
        results.parquet([], job.bundle.version)  # loads pyarrow while nobody waits for an answer

    def score(self, shard: Shard) -> Done:
        """Answer for the photos of a shard and write the results.

        Raises:
            PlaceError: photos cannot be read at present, or the results cannot be written; nothing is there.
            Stopped: it was told to stop; nothing is there.
        """
        rows = [Row(key, error=shard.fatal.get(position)) for position, key in enumerate(shard.keys)]
        batch: list[tuple[int, Decoded]] = []
        read = denied = 0
        apart = {*shard.suspects, *shard.fatal}
        order = [*shard.suspects, *(each for each in range(len(rows)) if each not in apart)]
        fetched = self._fetched([shard.keys[position] for position in order])
        for position, (key, content) in zip(order, fetched, strict=True):
            if self._stop():
                raise Stopped
            try:
                if isinstance(content, PhotoError):
                    raise content
                read += len(content)
                with self._at([position]):
                    batch.append((position, self._decoded(content)))
            except PhotoError as error:
                rows[position] = Row(key, error=str(error))
                denied += isinstance(error, DeniedError)
            if len(batch) == BATCH or _pixels(batch) >= BATCH_PIXELS or position in apart:
                self._answer(batch, rows)
        self._answer(batch, rows)
        if denied and denied == len(order):
            raise PlaceError(f"None of the {denied} photos of a shard may be read: access is denied.")
        content = results.parquet(rows, self._job.bundle.version, self._job.embedding)
        self._job.out.write(shard.name, content)
        return Done(shard.number, len(rows), sum(row.error is not None for row in rows), read)

    def tried(self, shard: Shard) -> tuple[Done | None, str | None]:
        """Return what `score` does, or else why it could not: it may be tried again.

        Raises:
            Stopped: it was told to stop; nothing is there.
        """
        try:
            return self.score(shard), None
        except Stopped:
            raise
        except PlaceError as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001 - no memory, no threads: another attempt or worker may do
            return None, f"{type(error).__name__}: {error}"

    def _decoded(self, content: bytes) -> Decoded:
        return decode_frame(content, self._predictor.limits, self._predictor.cascade.decoded_side)

    def _answer(self, batch: list[tuple[int, Decoded]], rows: list[Row]) -> None:
        """Ask the model about a batch, put the answers into their rows and empty the batch."""
        if not batch:
            return
        job = self._job
        with self._at([position for position, _ in batch]):
            answers = self._predictor.cascade.answer([decoded.image for _, decoded in batch], job.thorough)
        for (index, decoded), answer in zip(batch, answers, strict=True):
            verdict = self._predictor.verdict(answer, job.thorough, decoded.frame)
            embedding = answer.passes[FULL].embedding if job.embedding else None
            rows[index] = replace(rows[index], verdict=verdict, embedding=embedding)
        batch.clear()

    def _fetched(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | PhotoError]]:
        """Yield the keys in order, each with its bytes or with what is wrong; some are fetched ahead.

        Raises:
            PlaceError: none can be read at present.
        """
        most = self._predictor.limits.file_bytes
        rest = iter(keys)
        waiting: deque[tuple[str, Future[bytes]]] = deque()
        try:
            while True:
                while _may_fetch(waiting):
                    key = next(rest, None)
                    if key is None:
                        break
                    waiting.append((key, self._fetchers.submit(self._job.photos.read, key, most)))
                if not waiting:
                    return
                key, coming = waiting.popleft()
                try:
                    yield key, coming.result()
                except PhotoError as error:
                    yield key, error
        finally:
            for _, coming in waiting:
                coming.cancel()


def _pixels(batch: Sequence[tuple[int, Decoded]]) -> int:
    return sum(decoded.image.width * decoded.image.height for _, decoded in batch)


def _may_fetch(waiting: Sequence[tuple[str, Future[bytes]]]) -> bool:
    """Return whether one more photo may be fetched: beside what has come, and what is on its way."""
    come = [coming for _, coming in waiting if coming.done()]
    held = sum(len(coming.result()) for coming in come if not coming.exception())
    return len(waiting) < AHEAD and len(waiting) - len(come) < FETCHERS and held < AHEAD_BYTES
