"""False-positive rates by the sources of selfies, where a list of sources lies beside the photos."""

import csv
import dataclasses

import numpy as np
import pytest

from export.evaluate import Answers
from export.fairness import selfies_by_source


@pytest.fixture
def listed(run, tmp_path):
    """The run with its people's photos named in a sources.csv: half of its selfies are masked."""
    people = tmp_path / "people"
    people.symlink_to(run.people)
    rows = [(f"people/{record.path}", record.group) for record in run.manifest("people")]
    selfies = [file for file, group in rows if group == "selfie"]
    with (tmp_path / "sources.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "group", "source"])
        writer.writerows((f, g, "masked" if f == selfies[0] else "phone") for f, g in rows)
    return dataclasses.replace(run, people=people)


def answers(run, split, said):
    groups = np.array([record.group for record in run.manifest(split)])
    said = np.full(len(groups), float(said))
    return Answers(said, said, groups, np.zeros(len(said), bool), np.ones(len(said)))


def test_only_selfies_count_by_their_source(listed):
    given = {split: answers(listed, split, 0.6) for split in ("test", "people")}
    given["people"].quick[-1] = 0.2
    found = selfies_by_source(listed, given, 0.5)
    assert list(found) == ["people"]
    assert {source: (rate.hits, rate.total) for source, rate in found["people"].items()} == {
        "masked": (1, 1), "phone": (0, 1)
    }  # fmt: skip


def test_without_a_list_there_is_nothing_to_say(run):
    assert selfies_by_source(run, {"test": answers(run, "test", 0.9)}, 0.5) == {}
