"""The command, run for real: photos in, Parquet out, stopped and resumed."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from pipelines.score import __main__ as command
from tests.conftest import ROOT
from tests.pipelines.score.conftest import KEYS


def run(*arguments, **options):
    return command.main(list(map(str, ["--workers=1", "--shard-size=2", *arguments])), **options)


def files(out):
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def keys(out):
    return ds.dataset(out, format="parquet").to_table().sort_by("key").column("key").to_pylist()


def test_all_photos_are_scored_and_a_bad_one_is_a_row(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(photos, out, "--workers=2") == 0
    said = capsys.readouterr()
    assert re.search(r"^5 photos, [\d.]+ a second, 1 of them errors, ", said.out.replace("of 5 ", ""))
    assert str(out) in said.out
    assert [re.sub("-[0-9a-f]{16}", "", name) for name in files(out)] == [
        "_run.json",
        *(f"part-0000000{number}.parquet" for number in range(3)),
    ]
    assert keys(out) == sorted(KEYS)


def test_the_same_command_gives_the_same_bytes_and_scores_nothing_twice(
    photos, tmp_path, capsys, monkeypatch
):
    out, other = tmp_path / "out", tmp_path / "other"
    assert run(photos, out) == run(photos, other) == 0
    assert files(out) == files(other)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    monkeypatch.setattr(command, "_engine", None)  # no worker is needed
    capsys.readouterr()
    assert run(photos, out) == 0
    assert "0 photos" in (said := capsys.readouterr().out)
    assert "; 5 were there" in said
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_only_what_is_missing_is_scored(photos, tmp_path, capsys):
    out = tmp_path / "out"
    run(photos, out)
    whole = files(out)
    next(out.glob("part-00000001-*")).unlink()
    capsys.readouterr()
    assert run(photos, out) == 0
    assert files(out) == whole
    assert re.search("^2 (of 2 )?photos, .*; 3 were there", capsys.readouterr().out)


def test_parts_of_an_array_job_make_the_whole(photos, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(photos, whole)
    for part, count in ((2, 4), (0, 3), (1, 4)):
        assert run(photos, out, f"--shard={part}/3") == 0
        assert len(files(out)) == count - (part == 2) * 2  # with _run.json
    assert files(out) == files(whole)


def test_limit_and_sample_choose_photos(photos, tmp_path):
    assert run(photos, tmp_path / "limit", "--limit=3") == 0
    assert keys(tmp_path / "limit") == sorted(KEYS[:3])
    assert run(photos, tmp_path / "sample", "--sample=0.5", "--seed=1") == 0
    assert 0 < len(keys(tmp_path / "sample")) < 5


def test_results_of_another_limit_or_of_other_photos_are_left_alone(photos, tmp_path, capsys):
    out = tmp_path / "out"
    run(photos, out)
    before = files(out)
    assert run(photos, out, "--limit=3") == 1
    assert "limit None instead of 3; choose another place." in capsys.readouterr().err
    (photos / "cat" / "more.jpg").write_bytes(b"")
    assert run(photos, out) == 1
    assert "photos have come or gone since it was begun" in capsys.readouterr().err
    (photos / "cat" / "more.jpg").unlink()
    (photos / "zebra" / "space.jpg").unlink()
    assert run(photos, out) == 1
    assert "photos have come or gone" in capsys.readouterr().err
    assert files(out) == before


def test_photos_of_another_folder_with_the_same_names_are_not_taken_for_those_that_were_scored(
    photos, tmp_path, capsys
):
    out, other = tmp_path / "out", tmp_path / "other"
    run(photos, out)
    before = files(out)
    shutil.copytree(photos, other)
    assert run(other, out) == 1
    assert f"base {photos} instead of {other}; choose another place." in capsys.readouterr().err
    assert files(out) == before


@pytest.mark.parametrize("addresses", [("", "out"), ("photos", "")])
def test_an_empty_address_is_not_the_working_directory(photos, tmp_path, capsys, monkeypatch, addresses):
    monkeypatch.chdir(tmp_path)
    assert run(*addresses) == 1
    assert capsys.readouterr().err.startswith("An address is empty")
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}


def test_answers_that_would_be_taken_for_photos_are_refused(photos, capsys):
    assert run(photos, photos / "out", "--every-key", "--limit=2") == 1
    assert "--every-key would take the answers for photos" in capsys.readouterr().err
    assert not (photos / "out").exists()
    assert run(photos, photos / "out", "--limit=2") == 0


def test_a_model_can_be_chosen_and_is_named(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAT_BUNDLE", str(ROOT / "tests" / "data" / "old" / "bundle"))
    run(photos, tmp_path / "out")
    version = json.loads((ROOT / "tests/data/old/bundle/manifest.json").read_text())["version"]
    table = ds.dataset(tmp_path / "out", format="parquet").to_table()
    assert set(table.column("model_version").to_pylist()) == {version}
    monkeypatch.setenv("CAT_BUNDLE", str(tmp_path))
    assert run(photos, tmp_path / "other") == 1
    assert capsys.readouterr().err.startswith("No model in ")


def test_a_folder_without_photos_is_said_to_have_none(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert run(tmp_path / "photos", tmp_path / "out") == 1
    assert capsys.readouterr().err == "There are no photos to score.\n"


@pytest.mark.parametrize(
    "option", ["--limit=0", "--sample=0", "--sample=nan", "--shard=3/3", "--shard=1", "--core-hour=-1"]
)
def test_wrong_options_are_refused(option, photos, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(photos, tmp_path / "out", option)
    assert ended.value.code == 2
    assert f"argument {option.partition('=')[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "hint"),
    [
        ("pyarrow", "pip install -r requirements-train.txt"),
        ("ray", "pip install -r pipelines/requirements-ray.txt"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    package, hint, photos, tmp_path, capsys, monkeypatch
):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else found(name))
    assert run(photos, tmp_path / "out", "--engine=ray") == 1
    assert capsys.readouterr().err.endswith(f"{hint}\n")
    assert (ROOT / hint.split()[-1]).is_file()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_stopped_in_the_middle_it_goes_on_where_it_was(photos, tmp_path, sign):
    for number in range(40):
        (photos / f"{number:02}.jpg").write_bytes((photos / "cat" / "one.jpg").read_bytes())
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = [sys.executable, "-m", "pipelines.score", photos, out, "--workers=2", "--shard-size=2"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        while len(list(out.glob("[!.]*"))) <= 3:
            assert started.poll() is None
            time.sleep(0.01)
        if sign == signal.SIGINT:
            os.killpg(started.pid, sign)  # as a terminal sends it
        else:
            started.send_signal(sign)
        printed, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.endswith("\nStopped. The same command goes on with the shards that are missing.\n")
    assert "Traceback" not in said
    assert printed == ""
    assert 3 < len(files(out)) < 24
    assert not [name for name in files(out) if name.startswith(".")]
    assert run(photos, out) == run(photos, whole) == 0
    assert files(out) == files(whole)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(photos, tmp_path, capsys):
    for number in range(40):
        (photos / f"{number:02}.jpg").write_bytes((photos / "cat" / "one.jpg").read_bytes())
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = [sys.executable, "-m", "pipelines.score", photos, out, "--workers=2", "--shard-size=4"]
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as started:
        while len(list(out.glob("[!.]*"))) <= 2:
            assert started.poll() is None
            time.sleep(0.01)
        os.kill(workers_of(started.pid)[0], signal.SIGKILL)
        _, said = started.communicate(timeout=120)
    assert started.returncode == 0, said
    assert "its process has ended (signal SIGKILL; SIGKILL often means that memory was short)" in said
    assert run(photos, whole, "--shard-size=4") == 0
    left = {name: content for name, content in files(out).items() if not name.startswith(".")}
    assert left == files(whole)  # readers of Parquet pass over what was half written
    assert len(keys(out)) == len(set(keys(out))) == 45


def workers_of(pid):
    """The processes that a process has started and that score, as Linux's /proc tells them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [int(folder.name)] if parent == pid and b"spawn_main" in line else []
    return found


def test_the_command_needs_neither_the_page_nor_training(photos, tmp_path):
    program = (
        "import sys\nfrom pipelines.score.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "others = {'tensorflow', 'keras', 'mlflow', 'gradio', 'web', 'train', 'export', 'boto3', 'ray'}\n"
        "print(code, sorted(others & {name.split('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, photos, tmp_path / "out", "--shard=5/6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stdout.endswith("\n0 []\n")
