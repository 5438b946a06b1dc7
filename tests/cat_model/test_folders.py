"""Folders and globs: every photo once, no junk, whatever the links do, and what cannot be listed is told."""

import glob
import os
import shutil
from pathlib import Path

import pytest

from cat_model import folders

JUNK = (
    "._1.jpg",
    ".trashed-1.jpg",
    ".thumbnails/1.jpg",
    ".hidden/deep/1.jpg",
    "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "deep/@EADIR/1.jpg",
    "#recycle/1.jpg",
    "__MACOSX/1.jpg",
    "2.jpg/thumb.jpg",
    "3.HEIC/thumb.jpg",
)
OTHERS = ("Thumbs.db", "notes.txt", "film.mp4", "desktop.ini", "jpg")
PHOTOS = ("1.JPG", "deep/2.webp", "deep/deeper/3.heic", "deep.jp2", "raw.CR3", "scan.tiff")


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder with empty files in it: nothing is decoded here."""
    for name in (*JUNK, *OTHERS, *PHOTOS):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def fail(error):
    raise AssertionError(error)


def found(name, on_error=fail):
    return [path.as_posix() for path in folders.photos(name, on_error)]


def in_album(*names):
    return [f"album/{name}" for name in names]


@pytest.mark.parametrize(
    "name", ["album", "album/", "./album", "album/**", "**", "a*", "al[b]um", "**/album"]
)
def test_a_folder_has_its_photos_in_order_and_no_junk(album, name):
    assert found(name) == in_album(
        "1.JPG", "deep/2.webp", "deep/deeper/3.heic", "deep.jp2", "raw.CR3", "scan.tiff"
    )


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("album/*.jpg", []),  # all of them are junk
        ("album/*.JPG", ["1.JPG"]),
        ("album/**/*.jpg", []),
        ("album/**/*.heic", ["deep/deeper/3.heic"]),
        ("**/deeper/*", ["deep/deeper/3.heic"]),
        ("**/deep/**/*.*e*", ["deep/2.webp", "deep/deeper/3.heic"]),
        ("album/@eaDir/**/*.jpg", []),  # a folder named like a photo
        ("album/.hidden/*/*.jpg", [".hidden/deep/1.jpg"]),  # asked for by name
        ("album/.hidden/**/1.*", [".hidden/deep/1.jpg"]),
        ("album/n*", ["notes.txt"]),  # asked for, if not by its whole name
        ("album/Thumb*", []),
        ("nothing/**/*.jpg", []),
    ],
)
def test_a_glob_has_what_matches_and_no_junk(album, pattern, names):
    assert found(pattern) == in_album(*names)


def test_a_glob_without_junk_and_links_is_that_of_the_standard_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/b/c/1.jpg", "a/b/2.jpg", "a/[x]/3.jpg", "b/b/4.jpg", "5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern in (
        "**/*.jpg",
        "**/b/**/*.jpg",
        "a/**/?.jpg",
        "a/**/c/*",
        "**/b/*.jpg",
        f"{tmp_path}/**/*.jpg",
    ):
        assert sorted(found(pattern)) == sorted(set(glob.glob(pattern, recursive=True))), pattern


def test_what_is_named_is_found_whatever_it_is(album):
    for name in ("album/._1.jpg", "album/notes.txt", "album/missing.jpg", "x" * 5000):
        assert found(name) == [name]
    assert found("album/@eaDir/1.jpg") == ["album/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"]


@pytest.mark.parametrize("name", ["album", "album/**", "album/**/*", "album/**/*.webp", "**/deep/**/*.webp"])
def test_loops_of_links_end_and_each_real_file_is_found_once(album, name):
    """Two links to the folder itself: `glob.glob` would find each photo 2 to the power of 40 times."""
    (album / "deep" / "self").symlink_to(album / "deep")
    (album / "deep" / "up").symlink_to("..")
    (album / "deep" / "nowhere").symlink_to("nothing")
    (album / "deep" / "itself").symlink_to("itself")
    (album / "deep" / "copy.webp").symlink_to("2.webp")
    paths = found(name)
    real = [os.path.realpath(path) for path in paths]
    assert len(real) == len(set(real))
    webp = [path for path in real if path.endswith(".webp")]
    assert webp == [os.path.realpath(album / "deep" / "2.webp")]


def test_a_link_to_a_folder_elsewhere_is_followed(album, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "9.jpg").touch()
    (album / "link").symlink_to(tmp_path / "elsewhere")
    assert "album/link/9.jpg" in found("album")
    assert found("album/**/9.jpg") == ["album/link/9.jpg"]


def test_a_link_that_leads_nowhere_is_found_so_that_it_can_be_named(album):
    (album / "gone.jpg").symlink_to("nothing.jpg")
    assert "album/gone.jpg" in found("album")


def test_a_folder_that_cannot_be_listed_is_told_and_the_others_are_searched(album):
    """It goes while the folder above it is searched."""
    errors = []
    paths = folders.photos("album", errors.append)
    assert next(paths).as_posix() == "album/1.JPG"
    shutil.rmtree(album / "deep")
    assert [path.name for path in paths] == ["deep.jp2", "raw.CR3", "scan.tiff"]
    assert [error.filename for error in errors] == ["album/deep"]


def test_all_files_of_a_folder_are_those_that_are_no_junk(album):
    names = [path.relative_to("album").as_posix() for path in folders.files(Path("album"), fail)]
    assert names == sorted([*PHOTOS, "film.mp4", "jpg", "notes.txt"], key=lambda name: name.split("/"))
