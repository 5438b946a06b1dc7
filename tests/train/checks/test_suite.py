"""Planted faults are found; a decision is followed; what was checked once is not checked again."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.checks import found, plant
from cat_model.bundle import sha256
from tests import generated_photos
from train import __main__ as line
from train.checks import labels, suite
from train.checks.policy import POLICY, WORDS, read_policy
from train.config import DataOptions, TrainError
from train.data import scan


def colours(pixels: np.ndarray) -> np.ndarray:
    """Features that are there without any weights: a coarse histogram of colours."""
    bins = np.clip(pixels // 52, 0, 4).astype(int) @ [25, 5, 1]
    return np.stack([np.bincount(each.ravel(), minlength=125) for each in bins]) / bins[0].size


@pytest.fixture(scope="module", autouse=True)
def quick_features():
    """No network is needed to try the checks."""
    with pytest.MonkeyPatch.context() as patch:
        frozen = labels.Embedder("colours", labels.SIDE, lambda: colours)
        patch.setattr(labels, "embedder", lambda *_: frozen)
        yield


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder of generated pictures with faults, and where they are."""
    root = generated_photos.write(tmp_path_factory.mktemp("planted"), 60)
    return root, plant(root, swapped=6, exact=6, near=10, corrupt=4, blank=3)


@pytest.fixture(scope="module")
def options(planted, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return suite.CheckOptions(DataOptions(planted[0], POLICY), "tiny", cache)


def with_data(options, **changes):
    return dataclasses.replace(options, data=dataclasses.replace(options.data, **changes))


@pytest.fixture(scope="module")
def checked(options):
    return suite.check(options)


def problem(checked, kind):
    (one,) = [each for each in checked.report.problems if each.kind == kind]
    return one


def decide(path, *lines):
    path.write_text("\n".join(["sha256,decision,group,note", *lines]))
    return path


def test_planted_faults_are_found(checked, planted):
    counts = found(checked.report, planted[1])
    for kind in ("corrupt", "blank", "exact duplicates", "near duplicates"):
        assert counts[kind][0] == counts[kind][1] > 0, kind
    (labels,) = [count for kind, count in counts.items() if "labels" in kind]
    assert labels[0] >= 0.85 * labels[1]


def test_the_table_has_a_row_for_each_kind_of_issue(checked):
    table = suite.table(checked.report)
    rows = {row[0]: dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)}
    assert list(rows) == list(WORDS)
    unreadable = problem(checked, "unreadable")
    assert rows["unreadable"]["severity"] == "error"
    assert rows["unreadable"]["found"] == len(unreadable.issues) == 4
    assert rows["unreadable"]["examples"].split(", ") == [issue.path for issue in unreadable.issues]
    assert len(rows["near_duplicate"]["examples"].split(", ")) == suite.EXAMPLES
    assert rows["leak"] == {
        "check": "leak",
        "meaning": WORDS["leak"],
        "severity": "ok",
        "found": 0,
        "examples": "",
    }


def test_unreadable_files_are_errors_and_come_first(checked):
    assert checked.report.problems[0].kind == "unreadable"
    assert "unreadable" in {error.kind for error in checked.report.errors}
    assert problem(checked, "near_duplicate").severity == "warning"


def test_worst_labels_come_first(checked):
    scores = [issue.score for issue in problem(checked, "label").issues]
    assert scores == sorted(scores)


def test_a_second_check_decodes_nothing_and_embeds_nothing(options, checked, monkeypatch):
    for module in (scan, labels):
        monkeypatch.setattr(module, "decode", lambda *_: pytest.fail("decoded again"))
    monkeypatch.setattr(labels, "suspects", lambda *_: pytest.fail("checked again"))
    assert suite.check(options) == checked


def test_only_a_changed_file_is_decoded_again(options, checked, planted, monkeypatch):
    decoded, true = [], scan.decode
    monkeypatch.setattr(scan, "decode", lambda data: decoded.append(data) or true(data))
    added = planted[0] / "dog" / "added.png"
    generated_photos.draw("dog", np.random.default_rng(99)).save(added)
    try:
        again = suite.check(options)
    finally:
        added.unlink()
    assert decoded == [decoded[0]]
    assert again.report.photos[suite.PHOTOS] == checked.report.photos[suite.PHOTOS] + 1


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path, monkeypatch):
    root = generated_photos.write(tmp_path / "photos", 1)
    closed, read = next((root / "cat").iterdir()), Path.read_bytes

    def refuse(path):
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as locked:
        locked.setattr(Path, "read_bytes", refuse)
        seen, refused = scan.read_folder(root, tmp_path / "cache")
    assert "Permission denied" in refused[0].reason
    again, refused = scan.read_folder(root, tmp_path / "cache")
    assert (len(again), refused) == (len(seen) + 1, [])
    assert scan.read_folder(root, tmp_path / "cache") == (again, [])


def test_decisions_drop_relabel_and_silence(options, checked, tmp_path):
    dropped, relabelled, kept = (issue.sha256 for issue in problem(checked, "label").issues[:3])
    broken = [issue.sha256 for issue in problem(checked, "unreadable").issues]
    path = decide(
        tmp_path / "decisions.csv",
        f"{dropped},drop,,",
        f"{relabelled},relabel,selfie,",
        f"{kept},keep,,",
        *(f"{each},drop,," for each in broken if each),
        f"{'0' * 64},drop,,not here",
    )
    after = suite.check(with_data(options, decisions=path))
    records = {record.sha256: record for record in after.records[suite.PHOTOS]}
    assert dropped not in records
    assert records[relabelled].group == "selfie"
    assert records[kept].group == records[kept].path.split("/")[0]
    assert kept not in {f.sha256 for each in after.report.problems for f in each.issues}
    assert all(
        not f.sha256 for each in after.report.problems if each.kind == "unreadable" for f in each.issues
    )
    assert any("000000000000…" in note for note in after.report.notes)


def test_the_same_picture_in_two_groups_or_in_two_folders_stops_training(tmp_path):
    root, wild, people = (
        generated_photos.write(tmp_path / name, 12, seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))
    )
    cat, misc, dog = (sorted((root / group).glob("*"))[0] for group in ("cat", "misc", "dog"))
    Image.open(cat).resize((80, 80)).save(root / "dog" / "cat.png")
    (wild / "misc" / "leak.png").write_bytes(misc.read_bytes())
    Image.open(dog).resize((80, 80)).save(people / "dog" / "leak.png")
    data = DataOptions(root, POLICY, wild, people)
    checked = suite.check(suite.CheckOptions(data, "tiny", tmp_path / "cache"))
    errors = {error.kind: error for error in checked.report.errors}
    both = {issue.path for issue in errors["two_groups"].issues}
    assert both == {f"photos/cat/{cat.name}", "photos/dog/cat.png"}
    assert {(leak.path, leak.related) for leak in errors["leak"].issues} == {
        (f"photos/misc/{misc.name}", ("wild/misc/leak.png",)),
        (f"photos/dog/{dog.name}", ("people/dog/leak.png",)),
    }
    kept = [sha256(path.read_bytes()) for path in (cat, root / "dog" / "cat.png", misc, dog)]
    path = decide(tmp_path / "decisions.csv", *(f"{each},keep,," for each in kept))
    after = suite.check(with_data(suite.CheckOptions(data, "tiny", tmp_path / "cache"), decisions=path))
    # Two pictures that only look alike may each be right where they are; a leak is a leak.
    assert [error for error in after.report.errors if error.kind != "label"] == [errors["leak"]]


def test_photos_unlike_the_last_runs_are_reported(options, checked, planted, tmp_path):
    last = tmp_path / "run"
    suite.write_report(checked.report, options.data.folders, last)
    same = suite.check(dataclasses.replace(options, against=last))
    assert "drift" not in {each.kind for each in same.report.problems}
    dark = generated_photos.write(tmp_path / "dark", 60, seed=5)
    for path in dark.glob("*/*"):
        Image.open(path).point(lambda value: value // 2).save(path)
    other = suite.check(dataclasses.replace(with_data(options, photos=dark), against=last))
    assert "brightness" in {issue.path for issue in problem(other, "drift").issues}
    with pytest.raises(TrainError, match="to compare with"):
        suite.check(dataclasses.replace(options, against=tmp_path / "nothing"))


def test_a_small_group_is_reported(tmp_path):
    root = generated_photos.write(tmp_path / "photos", 30)
    for path in sorted((root / "dog").glob("*"))[:27]:
        path.unlink()
    checked = suite.check(suite.CheckOptions(DataOptions(root, POLICY), "tiny", tmp_path / "c"))
    assert [issue.path for issue in problem(checked, "balance").issues] == ["dog"]
    assert any("Labels were not checked" in note for note in checked.report.notes)


def test_the_policy_makes_an_error_a_warning(options, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[unreadable]\ntolerated = 1\n")
    report = suite.check(with_data(options, policy=policy)).report
    assert "unreadable" not in {error.kind for error in report.errors}
    assert "unreadable" in {each.kind for each in report.problems}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[nothing]\nx = 1", "no check"),
        ("[dark]\nx = 1", "has no 'x'"),
        ("[dark]\ntolerated = 'a'", "a number"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(tmp_path, text, said):
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(TrainError, match=said):
        read_policy(tmp_path / "policy.toml")


def test_the_page_shows_thumbnails_and_needs_no_other_file(options, checked, tmp_path):
    suite.write_report(checked.report, options.data.folders, tmp_path)
    page = (tmp_path / suite.PAGE).read_text()
    assert set(re.findall(r'(?:src|href)="(.{22})', page)) == {"data:image/jpeg;base64"}
    assert page.index('class="error"') < page.index('class="warning"')
    stored = json.loads((tmp_path / suite.REPORT).read_text())
    assert stored["passed"] is False
    assert set(stored["problems"][0]) == {"kind", "severity", "findings"}  # as 0.1.0 wrote it
    assert {each["kind"] for each in stored["problems"]} == {each.kind for each in checked.report.problems}
    before = (tmp_path / suite.PAGE).stat().st_mtime_ns
    suite.write_report(checked.report, options.data.folders, tmp_path)
    assert (tmp_path / suite.PAGE).stat().st_mtime_ns == before


def test_names_of_files_cannot_write_into_the_page(tmp_path):
    root = generated_photos.write(tmp_path / "photos", 4)
    (root / "cat" / "<script>x.jpg").write_bytes(b"no photo")
    checked = suite.check(suite.CheckOptions(DataOptions(root, POLICY), "tiny", tmp_path / "c"))
    suite.write_report(checked.report, {suite.PHOTOS: root}, tmp_path)
    assert "<script>" not in (tmp_path / suite.PAGE).read_text()


def test_in_a_terminal_errors_give_code_1_and_a_decision_mends_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAT_CACHE", str(tmp_path / "cache"))
    root = generated_photos.write(tmp_path / "photos", 4)
    (root / "cat" / "broken.jpg").write_bytes(b"no photo")
    command = ["check", "--photos", str(root), "--out", str(tmp_path / "report")]
    assert line.main(command) == 1
    assert "error: files that are no usable photos: 1 (photos/cat/broken.jpg)" in capsys.readouterr().out
    decided = decide(tmp_path / "decided.csv", f"{sha256(b'no photo')},drop,,")
    assert line.main([*command, "--decisions", str(decided)]) == 0
    assert (tmp_path / "report" / "checks.html").exists()


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAT_CACHE", str(tmp_path / "cache"))
    root = generated_photos.write(tmp_path / "photos", 4)
    taken = tmp_path / "report"
    taken.write_text("a file, where the report's folder should be")
    assert line.main(["check", "--photos", str(root), "--out", str(taken)]) == 1
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert str(taken) in said
