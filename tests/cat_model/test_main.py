"""`python -m cat_model`: each photo is answered, what is wrong goes to stderr, and the exit code tells."""

import csv
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
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
    [("CAT_BUNDLE", "/no/such/bundle", "No model in"), ("CAT_WORKERS", "many", "CAT_WORKERS is 'many'")],
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


def test_the_reasons_are_drawn_into_a_picture(predictor, examples, tmp_path, capsys):
    out = tmp_path / "new" / "why.png"
    assert terminal.main(["--explain", str(out), "--budget", "0", str(examples / "chelsea.jpg")]) == 0
    with Image.open(out) as drawn, Image.open(examples / "chelsea.jpg") as photo:
        assert (drawn.format, drawn.width) == ("PNG", photo.width)
        assert drawn.height > photo.height  # the sentence and the legend
    sentence = predictor.explain(examples / "chelsea.jpg", budget=0).sentence
    assert f"{sentence} Drawn in {out}" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_said(examples, tmp_path, capsys):
    photo = str(examples / "chelsea.jpg")
    assert terminal.main(["--explain", str(tmp_path), "--budget", "0", photo]) == 2
    assert "cannot be written" in capsys.readouterr().err
    for wrong in (["--budget", "3", photo], [photo, photo]):
        with pytest.raises(SystemExit):
            terminal.main(["--explain", str(tmp_path / "why.png"), *wrong])


def explain(out, *arguments):
    return terminal.main(["--explain", str(out), "--budget", "0", *map(str, arguments)])


@pytest.mark.parametrize(
    "other", ["the photo", "a link to it", "another photo", "an empty file", "a picture"]
)
def test_an_explanation_replaces_nothing_that_this_program_did_not_draw(album, capsys, other):
    photo, out = album / "cat.JPG", album / "out.png"
    if other == "the photo":
        out = Path("album") / "cat.JPG"
    elif other == "a link to it":
        out.symlink_to(photo)
    elif other == "another photo":
        shutil.copy(album / "deeper" / "cup.jpeg", out)
    elif other == "an empty file":
        out.touch()
    else:
        Image.new("RGB", (20, 20)).save(out)
    before = out.read_bytes()
    assert explain(out, photo) == 2
    said, err = capsys.readouterr()
    assert (said, len(err.splitlines())) == ("", 1)
    assert out.read_bytes() == before
    assert str(out) in err
    # By force, but for the photo itself: nobody means that.
    same = other in ("the photo", "a link to it")
    assert explain(out, "--force", photo) == (2 if same else 0)
    assert (out.read_bytes() == before) == same


def test_an_explanation_replaces_an_earlier_one(album, capsys):
    assert explain("why.png", album / "cat.JPG") == 0
    before = Path("why.png").read_bytes()
    assert explain("why.png", album / "deeper" / "cup.jpeg") == 0
    assert Path("why.png").read_bytes() != before
    assert explain("why.png", "why.png") == 2  # as a photo it is one


def test_a_thing_that_is_no_file_is_never_replaced(album, capsys):
    os.mkfifo("pipe")
    assert explain("pipe", "--force", album / "cat.JPG") == 2
    assert Path("pipe").is_fifo()
    assert "not a file" in capsys.readouterr().err


def test_what_is_no_photo_by_its_place_is_passed_over_and_what_is_not_read_is_named(capsys, album, examples):
    for name in ("@eaDir/cat.JPG/THUMB_M.jpg", "._cat.JPG", ".thumbnails/1.jpg"):
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(examples / "chelsea.jpg", album / name)
    (album / "Thumbs.db").touch()
    assert run(capsys, "album")[0] == 0
    (album / "scan.TIF").write_bytes(b"II*\0" + bytes(100))
    (album / "deeper" / "phone.jxl").write_bytes(b"\xff\x0a" + bytes(100))
    code, out, err = run(capsys, "album")
    assert (code, len(out), len(err)) == (2, 2, 2)
    assert err[0].startswith("album/deeper/phone.jxl: This is a JPEG XL photo")
    assert err[1].startswith("album/scan.TIF: This is a TIFF")
    for path in (album / "cat.JPG", album / "deeper" / "cup.jpeg"):
        path.unlink()
    code, out, err = run(capsys, "album")
    assert (code, out, len(err)) == (2, [], 2)


def test_csv_is_a_table_that_programs_read(capsys, predictor, album):
    odd = shutil.copy(album / "cat.JPG", 'one, "two".jpg')
    code, out, err = run(capsys, "--csv", "album", odd, "broken.jpg")
    assert code == 2
    rows = list(csv.DictReader(io.StringIO("\n".join(out))))
    assert [row["photo"] for row in rows] == ["album/cat.JPG", "album/deeper/cup.jpeg", odd, "broken.jpg"]
    verdict = predictor.predict(album / "cat.JPG")
    assert rows[2] == {
        "photo": odd,
        "label": "cat",
        "probability": str(verdict.probability),
        "is_cat": "true",
        "unsure": "false",
        "frame": "0",
        "model_version": predictor.bundle.version,
        "error": "",
    }
    assert rows[1]["is_cat"] == "false"
    assert rows[3]["error"]
    assert not rows[3]["label"]
    assert err == [f"broken.jpg: {rows[3]['error']}"]


def test_a_table_of_one_explanation_has_its_sentence(capsys, album):
    assert explain("why.png", "--csv", album / "cat.JPG") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["picture"], row["label"]) == ("why.png", "cat")
    assert row["sentence"]


def test_only_one_form_can_be_asked_for(capsys):
    with pytest.raises(SystemExit):
        terminal.main(["--csv", "--json", "photo.jpg"])


def test_thorough_asks_the_model_for_its_search_or_says_that_it_has_none(capsys, predictor, album):
    code, out, err = run(capsys, "--thorough", "--json", "album/cat.JPG")
    verdict = predictor.predict(album / "cat.JPG", thorough=True)
    assert (code, json.loads(out[0])["probability"]) == (0, verdict.probability)
    assert err == (
        [] if predictor.cascade.search else ["This model has no thorough search; it answers as always."]
    )


def test_thorough_is_asked_for_where_it_is_wanted(capsys, album, monkeypatch):
    asked = []
    many, explained = cat_model.Predictor.predict_many, cat_model.Predictor.explain

    def noted(self, photos, thorough=False):
        asked.append(thorough)
        return many(self, photos, thorough)

    def noted_too(self, photo, budget, *, thorough):
        asked.append(thorough)
        return explained(self, photo, budget, thorough=thorough)

    monkeypatch.setattr(cat_model.Predictor, "predict_many", noted)
    monkeypatch.setattr(cat_model.Predictor, "explain", noted_too)
    for wanted in ([], ["--thorough"]):
        run(capsys, *wanted, "album/cat.JPG")
        explain("why.png", *wanted, "album/cat.JPG")
    assert asked == [False, False, True, True]


@pytest.mark.parametrize(
    "address", ["https://cats.example/a//b.jpg?size=[1]", "file:///photos/cat.jpg", "HTTP://x"]
)
def test_an_address_is_printed_as_it_was_typed_and_gets_a_sentence(capsys, album, address):
    code, out, err = run(capsys, address, "album/cat.JPG")
    assert (code, len(out)) == (2, 1)
    assert err == [f"{address}: This is an address, not a file; please download the photo first."]


def test_no_name_at_all_is_not_the_working_folder(capsys, album):
    code, out, err = run(capsys, "")
    assert (code, out, len(err)) == (2, [], 1)


def test_a_name_cannot_command_the_terminal(capsys, album):
    (album / "cat.JPG").rename("evil\x1b[2J\n.jpg")
    _, out, _ = run(capsys, "*.jpg")
    assert out[0].startswith(r"evil\x1b[2J\n.jpg: cat (")


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as caught:
        terminal.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.split()[-1] == cat_model.__version__


@pytest.mark.parametrize("word", ["serve", "app"])
def test_the_words_that_start_the_page_take_no_options_but_help(word, capsys):
    """Else a mistyped option would be lost without a word."""
    for arguments, code in ((["--help"], 0), (["--port", "80"], 2)):
        with pytest.raises(SystemExit) as caught:
            terminal.main([word, *arguments])
        assert caught.value.code == code
    assert "docs/configuration.md" in capsys.readouterr().out


def test_a_window_without_a_screen_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert terminal.main(["app"]) == 1
    assert capsys.readouterr().err.startswith("There is no screen to open a window on")


def process(*arguments, program=("-m", "cat_model"), **options):
    """Start the command as a process of its own; Python's own buffering is not turned off."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        env={**environment, "PYTHONPATH": str(Path(cat_model.__file__).parents[1])},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def sentences(err):
    """What the program itself says on standard error; the interpreter greets there."""
    return [line for line in err.decode().splitlines() if not line.startswith("INFO:")]


@pytest.fixture
def many(album):
    """Photos whose answers are more than a pipe holds: nobody is done with them before they are read."""
    for number in range(400):
        shutil.copy(album / "cat.JPG", album / f"{number}{'-' * 200}.jpg")
    return album


def test_standard_input_is_a_photo(album, predictor):
    ended = process("-", "broken.jpg", stdin=(album / "cat.JPG").open("rb"))
    out, err = ended.communicate(timeout=120)
    probability = predictor.predict(album / "cat.JPG").probability
    assert out.decode() == f"-: cat ({probability:.1%} cat)\n"
    assert ended.returncode == 2
    assert [line.split(":")[0] for line in sentences(err)] == ["broken.jpg"]


def test_standard_input_can_be_explained_and_may_be_empty(album):
    with (album / "cat.JPG").open("rb") as photo:
        ended = process("--explain", "why.png", "--budget", 0, "-", stdin=photo)
        assert ended.wait(120) == 0
    assert Path("why.png").exists()
    ended = process("-", stdin=subprocess.DEVNULL)
    _, err = ended.communicate(timeout=120)
    assert (ended.returncode, sentences(err)) == (2, ["-: This file is empty."])


def test_an_answer_is_there_before_the_next_photo_is(album):
    """Into a pipe, Python would keep answers back until there are some thousand bytes of them."""
    ended = process("album/cat.JPG", "-", stdin=subprocess.PIPE)
    patience = threading.Timer(60, ended.kill)
    patience.start()
    assert ended.stdout.readline().startswith(b"album/cat.JPG: cat (")
    out, _ = ended.communicate((album / "cat.JPG").read_bytes())
    patience.cancel()
    assert out.startswith(b"-: cat (")


def test_ctrl_c_ends_it_quietly(many):
    ended = process(many)
    assert b": cat (" in ended.stdout.readline()
    ended.send_signal(signal.SIGINT)
    out, err = ended.communicate(timeout=120)
    assert ended.returncode == 130
    assert len(out.splitlines()) < 400
    assert sentences(err) == []


@pytest.mark.parametrize("both", [False, True])
def test_who_reads_no_further_ends_it_quietly(many, both):
    ended = process(many, stderr=subprocess.STDOUT if both else subprocess.PIPE)
    ended.stdout.readline()
    ended.stdout.close()
    assert ended.wait(120) == 141
    if not both:
        assert sentences(ended.stderr.read()) == []


def test_who_does_not_read_what_is_wrong_ends_it_too(album):
    ended = process("missing.jpg", "album/cat.JPG")
    ended.stderr.close()
    assert ended.wait(120) == 141
    assert ended.stdout.read() == b""


@pytest.mark.parametrize("photos", [terminal.BAR_FROM, terminal.BAR_FROM - 1])
def test_a_terminal_shows_the_progress_of_many_photos_beside_their_answers(album, photos):
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    ended = process(*["album/cat.JPG"] * photos, stderr=theirs)
    os.close(theirs)
    out, err = ended.stdout.read(), _all_of(ours)
    assert ended.wait(120) == 0
    assert out.decode().splitlines() == [out.decode().splitlines()[0]] * photos
    assert (f"/{photos} [".encode() in err) == (photos == terminal.BAR_FROM)


def _all_of(terminal_end):
    """What was shown in a terminal until nobody writes there any more."""
    seen = b""
    try:
        while chunk := os.read(terminal_end, 65_536):
            seen += chunk
    except OSError:  # Linux' way of saying so
        pass
    os.close(terminal_end)
    return seen
