"""Makes a release of this checkout: `python -m deploy.release --key KEY.pem`, or `make release ARGS=…`.

Checks version, changelog, bundle and Git, builds the engine for browsers, runs all tests, and writes into
`dist/VERSION`: wheel and source distribution, the bundle with its signature, a software bill of materials
(CycloneDX), the image where there are a Dockerfile and podman, and the SHA-256 of each. The folder is whole
or not there. Nothing leaves this machine without `--push`: that pushes what is named, the image and the
model, and last the tag `vVERSION`. The image is that of `make image`, labelled with version and commit.
"""

import argparse
import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cat_model import signature
from cat_model.bundle import MANIFEST, Bundle, BundleError
from cat_model.signature import SIGNATURE, SignatureError

ROOT = Path(__file__).parents[1]
NAME = "are-you-a-cat"
BUNDLE, CHANGELOG, DOCKERFILE = "cat_model/bundle", "CHANGELOG.md", "deploy/Dockerfile"
SUMS = "SHA256SUMS"
IMAGE_TOOLS = ("podman", "make")
VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
SECTION = re.compile(r"^## \[([^\]]+)\](.*)$", re.MULTILINE)
DATED = re.compile(r" - \d{4}-\d\d-\d\d")


class ReleaseError(Exception):
    """A release cannot be made; the message says why, one reason a line."""


@dataclass(frozen=True)
class Release:
    """What is released.

    Attributes:
        root: the checkout.
        version: of the program.
        bundle: the model that ships.
        python: the interpreter that runs the tools.
    """

    root: Path
    version: str
    bundle: Bundle
    python: str

    @property
    def tag(self) -> str:
        """Name of the commit in Git."""
        return f"v{self.version}"

    @property
    def archive(self) -> str:
        """Name of the file that holds the bundle."""
        return f"{NAME}-{self.version}-bundle.tar.gz"

    def run(self, *command: str | Path, what: str) -> str:
        """Run a command in the checkout; return what it printed on its standard output.

        Raises:
            ReleaseError: it failed; the end of what it said is in the message.
        """
        try:
            ended = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ReleaseError(f"{what}: {command[0]} cannot be run ({error.strerror}).") from error
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-10:]
            raise ReleaseError("\n".join([f"{what} failed:", *said]))
        return ended.stdout


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, python: str = sys.executable) -> int:
    """Make a release; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        release = checked(root, python)
        if not ((release.bundle.folder / SIGNATURE).exists() or given.key or given.unsigned):
            raise ReleaseError("The bundle is not signed: --key KEY.pem signs it, --unsigned leaves it so.")
        out = root / "dist" / release.version
        if out.exists():
            raise ReleaseError(f"{out} is there already; delete it to make the release anew.")
        print(f"{release.tag}: version, changelog, bundle and Git fit together.", flush=True)
        release.run(python, "-m", "web.build", what="The engine for browsers")  # it is tested, and ships
        release.run(python, "-m", "tests", what="The tests")
        release.run(python, "-m", "tests", "--slow", what="The slow tests")
        print("The tests passed.", flush=True)
        build(release, out, given.key, given.image_options)
        print("\n".join(_listed(out)))
        if given.push:
            for said in push(release, out, given.image, given.model):
                print(said, flush=True)
        else:
            print("Nothing was pushed; --push does.")
    except (BundleError, ReleaseError, SignatureError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or root}: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description="Make a release.")
    parser.add_argument("--key", type=Path, metavar="KEY.pem", help="sign the bundle with this Ed25519 key")
    parser.add_argument("--unsigned", action="store_true", help="release a bundle without a signature")
    parser.add_argument("--image-options", default="", metavar="OPTIONS", help="more options of podman build")
    parser.add_argument("--push", action="store_true", help="push the tag, and what the next two name")
    parser.add_argument("--image", metavar="REGISTRY/NAME", help="where --push pushes the image to")
    parser.add_argument("--model", metavar="OWNER/NAME", help="where --push pushes the model to on the Hub")
    return parser


def checked(root: Path, python: str = sys.executable) -> Release:
    """Return the release that a checkout is ready for.

    Raises:
        ReleaseError: it is not ready; the message has a line for each reason.
        BundleError: its bundle cannot be used.
    """
    found = VERSION.search((root / "cat_model" / "__init__.py").read_text("utf-8"))
    if not found:
        raise ReleaseError("cat_model/__init__.py names no version of the form 1.2.3.")
    release = Release(root, found[1], Bundle.read(root / BUNDLE), python)
    problems = [*_wrong_with_changelog(release), *_wrong_with_bundle(release), *_wrong_with_git(release)]
    if problems:
        raise ReleaseError("\n".join(problems))
    return release


def _wrong_with_changelog(release: Release) -> Iterator[str]:
    text = (release.root / CHANGELOG).read_text("utf-8")
    found = list(SECTION.finditer(text))
    ends = [*(each.start() for each in found[1:]), len(text)]
    sections = {each[1]: (each[2], text[each.end() : end]) for each, end in zip(found, ends, strict=True)}
    if sections.get("Unreleased", ("", ""))[1].strip():
        yield f"{CHANGELOG} has changes under [Unreleased]; they belong under [{release.version}]."
    if release.version not in sections:
        yield f"{CHANGELOG} has no section [{release.version}]."
        return
    date, content = sections[release.version]
    if not DATED.fullmatch(date):
        yield f"The section [{release.version}] of {CHANGELOG} has no date, such as - 2026-11-24."
    if not content.strip():
        yield f"The section [{release.version}] of {CHANGELOG} is empty."


def _wrong_with_bundle(release: Release) -> Iterator[str]:
    gate = release.bundle.manifest.get("gate", {})
    if not gate.get("passed") or gate.get("forced"):
        yield f"The model {release.bundle.version} did not pass its gate."


def _wrong_with_git(release: Release) -> Iterator[str]:
    if release.run("git", "status", "--porcelain", what="Git").strip():
        yield "The checkout has changes that are not committed."
    if release.run("git", "tag", "--list", release.tag, what="Git").strip():
        both = [release.run("git", "rev-list", "-1", each, what="Git") for each in (release.tag, "HEAD")]
        if both[0] != both[1]:
            yield f"The tag {release.tag} names another commit: raise the version in cat_model/__init__.py."


def build(release: Release, out: Path, key: Path | None = None, image_options: str = "") -> None:
    """Write all files of a release into a new folder.

    Args:
        release: what is released.
        out: the folder; it must not exist. The wheel has the engine for browsers if that was built.
        key: an Ed25519 key in PEM that signs the bundle; None to leave it as it is.
        image_options: more options of `podman build`, as a shell takes them.

    Raises:
        ReleaseError: a tool failed; the folder was not made.
        SignatureError: the key cannot be used.
        OSError: something cannot be read or written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{release.version}-") as work:
        made = Path(work) / "made"
        made.mkdir()
        release.run(release.python, "-m", "build", "--outdir", made, what="The wheel")
        (made / release.archive).write_bytes(_archive(release, key))
        _bill_of_materials(release, made / f"{NAME}-{release.version}.cdx.json")
        _image(release, made / f"{NAME}-{release.version}-image.tar", image_options)
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in _files(made)]
        (made / SUMS).write_text("".join(sums))
        made.rename(out)


def _archive(release: Release, key: Path | None) -> bytes:
    """Return the bundle as a .tar.gz, the same bytes from the same bundle."""
    files = {path.name: path.read_bytes() for path in _files(release.bundle.folder)}
    if key:
        files[SIGNATURE], public = signature.sign(files[MANIFEST], key.read_bytes())
        print(f"The bundle is signed; CAT_BUNDLE_PUBLIC_KEY={public}", flush=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{release.bundle.version}/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _bill_of_materials(release: Release, path: Path) -> None:
    """Write what the page installs, by the pins: names, versions, hashes."""
    release.run(
        release.python, "-m", "cyclonedx_py", "requirements", "requirements.txt",
        "--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", path,
        what="The bill of materials (by PyPI's cyclonedx-bom)",
    )  # fmt: skip


def _image(release: Release, path: Path, options: str) -> None:
    if not ((release.root / DOCKERFILE).exists() and all(map(shutil.which, IMAGE_TOOLS))):
        print(f"No image was made: that takes {DOCKERFILE}, {' and '.join(IMAGE_TOOLS)}.", flush=True)
        return
    image = f"{NAME}:{release.version}"
    # ARGS is always given: make hands down the one that `make release` was called with.
    build = ("make", "image", "ENGINE=podman", f"IMAGE={image}", f"ARGS={options}")
    release.run(*build, what="The image")
    release.run("podman", "save", "--format", "docker-archive", "--output", path, image, what="The image")


def push(release: Release, out: Path, image: str | None = None, model: str | None = None) -> Iterator[str]:
    """Push a release that was built, the tag last; yield a sentence for each thing that was pushed.

    Args:
        release: what is released.
        out: the folder that it was built into.
        image: name of the image in a registry; None not to push it.
        model: "OWNER/NAME" of the model repository on the Hugging Face Hub; None not to push it.

    Raises:
        ReleaseError: something could not be pushed; what comes after it was not.
    """
    if image:
        names = (f"{NAME}:{release.version}", f"{image}:{release.version}")
        release.run("podman", "push", *names, what="The push of the image")
        yield f"Pushed the image {names[1]}."
    if model:
        _push_model(release, out, model)
        yield f"Pushed the model to {model}."
    if not release.run("git", "tag", "--list", release.tag, what="Git").strip():
        message = f"Version {release.version}"
        release.run("git", "tag", "--annotate", release.tag, "--message", message, what="The tag")
    release.run("git", "push", "origin", release.tag, what="The push of the tag")
    yield f"Pushed the tag {release.tag}."


def _push_model(release: Release, out: Path, name: str) -> None:
    """Push the very bundle of the release, with its signature, to the Hub."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(out / release.archive) as archive:
            archive.extractall(folder, filter="data")
        bundle = Path(folder) / release.bundle.version
        command = (release.python, "-m", "deploy.hub", "model", name, "--bundle", bundle)
        release.run(*command, what="The push of the model")


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder, hidden ones left out."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]


def _listed(out: Path) -> Iterator[str]:
    for path in _files(out):
        yield f"{path.stat().st_size:>12,} {path}"


if __name__ == "__main__":
    sys.exit(main())
