"""What a person decided is followed, never written over, and named where it cannot be followed."""

import dataclasses

import pytest

from train.checks.decisions import DECISIONS, read_decisions
from train.config import TrainError
from train.data.scan import PhotoRecord, Refusal, ScannedPhoto

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def photo(sha256: str) -> ScannedPhoto:
    record = PhotoRecord(f"cat/{sha256[0]}.jpg", "cat", sha256, 9, 20, 20, "0" * 16, "0" * 16)
    return ScannedPhoto(record, b"", {})


@pytest.fixture
def decided(tmp_path):
    def read(*lines: str):
        path = tmp_path / "decisions.csv"
        path.write_text("\n".join(["sha256,decision,group,note", *lines]))
        return read_decisions(path)

    return read


def test_drop_relabel_and_keep_do_what_they_say(decided):
    decisions = decided(f"{A},drop,,two animals", f"{B},relabel,misc,a lynx", f'{C},keep,,"dark, on purpose"')
    assert decisions.notes == ()
    applied = decisions.apply([photo(A), photo(B), photo(C), photo(D)])
    assert [(each.record.sha256, each.record.group) for each in applied] == [
        (B, "misc"),
        (C, "cat"),
        (D, "cat"),
    ]
    assert applied[0].record.path == "cat/b.jpg"
    assert decisions.kept(each.record for each in applied) == {C}


def test_a_photo_kept_in_one_group_is_not_kept_in_another(decided):
    decisions = decided(f"{A},keep,cat,", f"{B},keep,dog,")
    assert decisions.kept(photo(each).record for each in (A, B)) == {A}


@pytest.mark.parametrize("group", ["", "cat", "dog"])
def test_a_file_that_lies_in_two_groups_is_kept_in_neither(decided, group):
    twice = [photo(A).record, dataclasses.replace(photo(A).record, path="dog/a.jpg", group="dog")]
    assert decided(f"{A},keep,{group},").kept(twice) == set()
    assert decided(f"{A},keep,{group},").kept([twice[0], twice[0]]) == ({A} if group != "dog" else set())


def test_a_dropped_file_that_is_no_photo_is_no_longer_complained_about(decided):
    refusals = [Refusal("cat/x.jpg", "empty", A), Refusal("cat/y.jpg", "empty", B)]
    assert decided(f"{A},drop,,").drop(refusals) == refusals[1:]


def test_lines_that_make_no_sense_are_named_and_the_others_hold(decided):
    decisions = decided("xyz,drop,,", f"{A},burn,,", f"{B},relabel,,no group", f"{C},drop,,", f"{D}")
    assert list(decisions.by_hash) == [C]
    assert [note.split(": ", 1)[0] for note in decisions.notes] == [
        f"decisions.csv, line {number}" for number in (2, 3, 4, 6)
    ]


def test_the_last_line_about_a_photo_holds_and_that_is_said(decided):
    decisions = decided(f"{A},drop,,", f"{A},keep,,looked again")
    assert decisions.kept([photo(A).record]) == {A}
    assert "line 3" in decisions.notes[0]


def test_decisions_about_photos_that_are_not_here_are_known(decided):
    decisions = decided(f"{A},drop,,", f"{B},keep,,")
    assert [each.sha256 for each in decisions.unknown([A])] == [B]


def test_a_file_that_is_missing_or_has_no_columns_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(TrainError, match="cannot be read"):
        read_decisions(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("name,verdict\nx,drop\n")
    with pytest.raises(TrainError, match="sha256,decision,group,note"):
        read_decisions(tmp_path / "other.csv")


def test_the_shipped_decisions_make_sense():
    shipped = read_decisions(DECISIONS)
    assert shipped.notes == ()
    assert shipped.by_hash
    assert all(decision.note for decision in shipped.by_hash.values())
