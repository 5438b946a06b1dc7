"""`python -m cat_model`: each photo is answered, what is wrong goes to stderr, and the exit code tells."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import cat_model
from cat_model import __main__ as terminal


@pytest.fixture(autouse=True)
def _one_model(predictor, monkeypatch):
    """The model is loaded once for all these tests."""
    monkeypatch.setattr(terminal, "load", lambda *_, **__: predictor)


@pytest.fixture
def album(examples, tmp_path, monkeypatch):
    """A folder with photos on two levels, something that is no photo, and a photo that is broken."""
    (tmp_path / "album" / "deeper").mkdir(parents=True)
    shutil.copy(examples / "chelsea.jpg", tmp_path / "album" / "cat.JPG")
    shutil.copy(examples / "coffee.jpg", tmp_path / "album" / "deeper" / "cup.jpeg")
    (tmp_path / "album" / "notes.txt").write_text("not for the model")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def run(capsys, *arguments):
    code = terminal.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


def test_a_file_is_answered_on_one_line(capsys, predictor, examples):
    code, out, err = run(capsys, examples / "chelsea.jpg")
    probability = predictor.predict(examples / "chelsea.jpg").probability
    assert (code, err) == (0, [])
    assert out == [f"{examples / 'chelsea.jpg'}: cat ({probability:.1%} cat)"]


def test_a_folder_is_searched_to_the_bottom_for_photos_only(capsys, album):
    code, out, err = run(capsys, "album")
    assert (code, err) == (0, [])
    assert [line.split(": ")[0] for line in out] == [
        str(Path("album/cat.JPG")),
        str(Path("album/deeper/cup.jpeg")),
    ]
    assert [line.split(": ")[1].split(" (")[0] for line in out] == ["cat", "not a cat"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("album/*.JPG", ["cat.JPG"]),
        ("album/**/*.jp*g", ["cup.jpeg"]),
        ("album/**/*.JPG", ["cat.JPG"]),
        ("album/dee*", ["cup.jpeg"]),
        ("*/deeper/*", ["cup.jpeg"]),
    ],
)
def test_a_glob_stands_for_its_photos(capsys, album, pattern, names):
    code, out, err = run(capsys, pattern)
    assert (code, err) == (0, [])
    assert [Path(line.split(": ")[0]).name for line in out] == names


def test_a_glob_that_names_a_folder_and_its_photos_answers_each_once(capsys, album):
    (album / "notes.txt").unlink()
    code, out, _ = run(capsys, "album/**")
    assert code == 0
    assert sorted(Path(line.split(": ")[0]).name for line in out) == ["cat.JPG", "cup.jpeg"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(capsys, album):
    (album / "cat.JPG").rename("cat[1].jpg")
    code, out, _ = run(capsys, "cat[1].jpg")
    assert code == 0
    assert out[0].startswith("cat[1].jpg: cat")


def test_json_gives_one_object_a_line(capsys, predictor, album):
    code, out, err = run(capsys, "--json", "album", "broken.jpg")
    assert code == 2
    first, second, third = map(json.loads, out)
    verdict = predictor.predict(album / "cat.JPG")
    assert first == {
        "photo": str(Path("album/cat.JPG")),
        "probability": verdict.probability,
        "is_cat": True,
        "unsure": False,
        "label": "cat",
        "model_version": predictor.bundle.version,
    }
    assert second["label"] == "not a cat"
    assert third.keys() == {"photo", "error"}
    assert err == [f"broken.jpg: {third['error']}"]


def test_a_bad_photo_is_told_on_stderr_and_the_others_are_answered(capsys, album):
    code, out, err = run(capsys, "broken.jpg", "missing.jpg", "album/cat.JPG")
    assert code == 2
    assert len(out) == 1
    assert out[0].startswith(str(Path("album/cat.JPG")))
    assert len(err) == 2
    assert err[0].startswith("broken.jpg: This is not a photo")
    assert err[1] == "missing.jpg: There is no such file."


@pytest.mark.parametrize("pattern", ["*.nothing", "empty"])
def test_where_there_is_no_photo_it_says_so(capsys, album, pattern):
    Path("empty").mkdir()
    assert run(capsys, pattern) == (2, [], [f"{pattern}: no photo found here."])


def test_a_name_too_long_for_a_file_is_told_too(capsys, album):
    code, out, err = run(capsys, "x" * 5000, "album/cat.JPG")
    assert (code, len(out), len(err)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("CAT_BUNDLE", "/no/such/bundle", "No model in"), ("CAT_PORT", "many", "CAT_PORT is 'many'")],
)
def test_without_a_model_or_with_a_bad_setting_there_is_one_sentence(
    capsys, monkeypatch, examples, name, value, words
):
    monkeypatch.setattr(terminal, "load", cat_model.load)
    monkeypatch.setenv(name, value)
    code, out, err = run(capsys, examples / "chelsea.jpg")
    assert (code, out, len(err)) == (2, [], 1)
    assert words in err[0]


def test_without_arguments_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as caught:
        terminal.main([])
    assert caught.value.code == 2
    assert "PHOTO" in capsys.readouterr().err


def test_the_command_itself_answers_even_what_the_terminal_cannot_show(examples, tmp_path):
    photo = shutil.copy(examples / "chelsea.jpg", tmp_path / "猫.jpg")
    ended = subprocess.run(
        [sys.executable, "-m", "cat_model", photo, tmp_path / "missing.jpg"],
        cwd=Path(cat_model.__file__).parents[1],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert "\\u732b.jpg: cat (" in ended.stdout
    assert "missing.jpg: There is no such file." in ended.stderr


def test_the_reasons_are_drawn_into_a_picture(examples, tmp_path, capsys):
    out = tmp_path / "new" / "why.png"
    assert terminal.main(["--explain", str(out), "--budget", "0", str(examples / "chelsea.jpg")]) == 0
    with Image.open(out) as drawn, Image.open(examples / "chelsea.jpg") as photo:
        assert (drawn.format, drawn.width) == ("PNG", photo.width)
        assert drawn.height > photo.height  # the sentence and the legend
    sentence = cat_model.load().explain(examples / "chelsea.jpg", budget=0).sentence
    assert f"{sentence} Drawn in {out}" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_said(examples, tmp_path, capsys):
    photo = str(examples / "chelsea.jpg")
    assert terminal.main(["--explain", str(tmp_path), "--budget", "0", photo]) == 2
    assert "cannot be written" in capsys.readouterr().err
    for wrong in (["--budget", "3", photo], [photo, photo]):
        with pytest.raises(SystemExit):
            terminal.main(["--explain", str(tmp_path / "why.png"), *wrong])
