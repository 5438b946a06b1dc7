"""Shards: so many keys each, numbered in the order of the listing, named by what is in them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

DIGITS = 16
SCALE = 2**64


@dataclass(frozen=True)
class Shard:
    """Keys that one worker scores at a time, and whose answers lie in one file.

    Attributes:
        number: from 0, in the order of the listing.
        keys: in that order.
        digest: hexadecimal digits of a hash of the keys and of all that the answers depend on.
        suspects: positions of keys that a worker was at when it ended: each is tried by itself, before all
            others, so that the next end tells which one it is.
        fatal: what is written as the error of photos that ended a worker again, by their positions; they are
            not tried.
    """

    number: int
    keys: tuple[str, ...]
    digest: str
    suspects: tuple[int, ...] = ()
    fatal: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"part-{self.number:08}-{self.digest}.parquet"


@dataclass(frozen=True)
class Crash:
    """The end of a worker's process in the middle of a shard.

    Attributes:
        at: positions of the keys that it was at; one where it was decoding, several where it was asking the
            model about a batch, none where it was at no photo.
        sentence: what to say of a photo that did it.
    """

    at: tuple[int, ...]
    sentence: str


def after(shard: Shard, crash: Crash) -> Shard:
    """Return a shard as it is to be tried after a worker has ended over it.

    One end may have come from outside, or from short memory. So a photo is only blamed when it ends a worker
    that had it by itself, after another had ended over it.
    """
    if len(crash.at) == 1 and crash.at[0] in shard.suspects:
        (position,) = crash.at
        left = tuple(each for each in shard.suspects if each != position)
        return replace(shard, suspects=left, fatal={**shard.fatal, position: crash.sentence})
    suspects = {*shard.suspects, *crash.at} - set(shard.fatal)
    return replace(shard, suspects=tuple(sorted(suspects)))


def cut(keys: Iterable[str], size: int, settings: Mapping[str, object]) -> Iterator[Shard]:
    """Cut keys into shards; not more than one is held.

    Args:
        keys: in the order of the listing.
        size: keys of a shard, at least 1; the last one may have fewer.
        settings: all that the answers depend on beside the keys.
    """
    rest, number = iter(keys), 0
    begin = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    while taken := tuple(islice(rest, size)):
        digest = begin.copy()
        digest.update(json.dumps(taken).encode())
        yield Shard(number, taken, digest.hexdigest()[:DIGITS])
        number += 1


def number(name: str) -> int | None:
    """Return the number of the shard whose file has a name; None where it is no such file."""
    parts = name.removesuffix(".parquet").split("-")
    there = name.endswith(".parquet") and len(parts) == 3 and parts[0] == "part" and parts[1].isdecimal()
    return int(parts[1]) if there else None


def sample(keys: Iterable[str], fraction: float, seed: int) -> Iterator[str]:
    """Yield about a fraction of the keys, above 0 to 1: each is in or out by a hash of itself and the seed.

    So the sample is the same at each run, and a larger fraction contains the smaller one.
    """
    bound = int(fraction * SCALE)
    for key in keys:
        digest = hashlib.blake2b(f"{seed}/{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
        if int.from_bytes(digest) < bound:
            yield key
