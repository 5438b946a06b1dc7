"""Pushes model and app to the Hugging Face Hub: `python -m deploy.hub model|space|static OWNER/NAME`.

`model` pushes the bundle, its card and an example; `space` the page, as a Gradio Space; `static` the site
that needs no server (see deploy.static), as a static Space. The repository is made if it is not there, and
then holds exactly the files that `--dry-run` lists. A push is one commit, tagged with the model's version;
the same push again changes nothing. The token is that of HF_TOKEN or of `hf auth login`.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cat_model import extras
from cat_model.bundle import CARD, Bundle, BundleError
from cat_model.extras import MissingExtraError
from cat_model.settings import SHIPPED_BUNDLE
from deploy import static
from deploy.mark import marked
from deploy.repository import Change, Content, HubError, push
from deploy.static import StaticError
from web.build import BUILT, ENGINE

ROOT = Path(__file__).parents[1]
README, REQUIREMENTS, ENTRY = "README.md", "requirements.txt", "app.py"
PACKAGES = ("cat_model", "web")
BUNDLE_IN_SPACE, BUNDLE_VARIABLE = "cat_model/bundle", "CAT_BUNDLE"
SUFFIXES = (".py", ".typed", ".js", ".css", ".bin")
"""What of the packages' files is pushed: an editor's or a person's own files are not."""
SOURCES = "web/browser/"
"""Of the engine for browsers: what is built from them is pushed."""
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
INTERRUPTED = 130
"""Exit code, by the convention of shells."""
USE = """
## Use it

`example.py` beside this text takes one look at each photo, with nothing but LiteRT, NumPy and Pillow:

    pip install ai-edge-litert huggingface_hub numpy pillow
    hf download {name} --local-dir model
    python model/example.py photo.jpg

The package `cat_model` also zooms where a cat may be, says when it is not sure, and explains itself:

    import cat_model
    from huggingface_hub import snapshot_download

    predictor = cat_model.load(snapshot_download("{name}", revision="{version}"))
    verdict = predictor.predict("photo.jpg")
    print(verdict.label, verdict.probability)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Push what the command line names, or list it; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        content = _content(given)
        if given.dry_run:
            print("\n".join(_listed(content)))
            return 0
        extras.require("huggingface_hub", "hub", "The push")
        print(_said(given.name, push(given.name, content, given.private), content))
    except (BundleError, HubError, MissingExtraError, StaticError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'A file'} cannot be read: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command again does what is left to do.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("name", metavar="OWNER/NAME", type=_name, help="the repository on the Hub")
    common.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the model (the shipped one)")
    common.add_argument("--dry-run", action="store_true", help="only list the files and their sizes")
    common.add_argument("--private", action="store_true", help="a new repository is for its owner alone")
    parser = argparse.ArgumentParser(
        prog="python -m deploy.hub", description="Push the model or the app to the Hugging Face Hub."
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="model|space|static")
    kinds.add_parser("model", parents=[common], help="bundle, card and example, as a model repository")
    kinds.add_parser("static", parents=[common], help="the site without a server, as a static Space")
    space = kinds.add_parser("space", parents=[common], help="the page, as a Gradio Space")
    space.add_argument(
        "--model",
        metavar="OWNER/NAME[@REVISION]",
        type=_model,
        help="serve the model of that repository, and follow it, instead of a bundle in the Space",
    )
    space.add_argument(
        "--variable",
        metavar="NAME=VALUE",
        type=_variable,
        action="append",
        default=[],
        help="a setting that everybody may read; may be repeated",
    )
    space.add_argument(
        "--secret",
        metavar="NAME",
        type=_secret,
        action="append",
        default=[],
        help="a setting that the Hub hides; its value is that of the environment variable; may be repeated",
    )
    return parser


def _content(given: argparse.Namespace) -> Content:
    """Return what the command line asks for."""
    if given.kind == "model":
        return model(given.name, given.bundle)
    if given.kind == "static":
        return static_space(given.bundle)
    return space(given.bundle, given.model, dict(given.variable), dict(given.secret))


def model(name: str, bundle: Path = SHIPPED_BUNDLE) -> Content:
    """Return what a model repository is to hold: the bundle as it is, its card as README, an example.

    Args:
        name: "OWNER/NAME", which the card's example names.
        bundle: folder of the model.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: it has no card, or a file cannot be read.
    """
    version, files = _bundle(bundle)
    if CARD not in files:
        raise BundleError(f"{bundle} has no {CARD}: `python -m export` writes one.")
    files[README] = files[CARD] + USE.format(name=name, version=version).encode()
    files["example.py"] = (Path(__file__).parent / "example.py").read_bytes()
    return Content(marked(files), version)


def space(
    bundle: Path = SHIPPED_BUNDLE,
    model: str | None = None,
    variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Content:
    """Return what a Gradio Space is to hold: the page, what it imports, and a bundle.

    Args:
        bundle: folder of the model.
        model: "OWNER/NAME" or "OWNER/NAME@REVISION" of the model repository that the Space serves and follows
            instead; then it holds no bundle and its commits have no tag.
        variables: settings that everybody may read, by name.
        secrets: settings that the Hub hides, by name.

    Raises:
        BundleError: the bundle cannot be used.
        OSError: a file cannot be read.
    """
    files = {name: (ROOT / name).read_bytes() for name in (ENTRY, REQUIREMENTS, "LICENSE")}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES and not name.startswith(SOURCES):
                files[name] = path.read_bytes()
    for path in sorted((ROOT / "examples").iterdir()):
        files[f"examples/{path.name}"] = path.read_bytes()
    version, variables = None, dict(variables or {})
    linked = {}
    if model:
        variables[BUNDLE_VARIABLE] = f"hf://{model}"
        linked = {"models": [model.partition("@")[0]]}
    else:
        version, bundled = _bundle(bundle)
        files |= {f"{BUNDLE_IN_SPACE}/{name}": content for name, content in bundled.items()}
    files[README] = _front_matter(linked)
    unset = () if BUNDLE_VARIABLE in variables else (BUNDLE_VARIABLE,)  # of an earlier push with a model
    return Content(marked(files), version, "gradio", secrets or {}, variables, unset)


def static_space(bundle: Path = SHIPPED_BUNDLE, built: Path = BUILT) -> Content:
    """Return what a static Space is to hold: the site without a server.

    Args:
        bundle: folder of the model.
        built: folder of the engine for browsers.

    Raises:
        BundleError: the bundle cannot be used.
        StaticError: the engine is not built.
        OSError: a file cannot be read.
    """
    files = static.site(bundle, built)
    of_gradio = {"sdk_version": None, "python_version": None}
    files[README] = _front_matter({"sdk": "static", "app_file": "index.html", **of_gradio})
    return Content(marked(files), Bundle.read(bundle).version, "static")


def _bundle(folder: Path) -> tuple[str, dict[str, bytes]]:
    """Return version and files of a bundle, after its verification."""
    version = Bundle.read(folder).version
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    return version, {path.name: path.read_bytes() for path in paths}


def _front_matter(changed: Mapping[str, object]) -> bytes:
    """Return the README of a Space: the head of the project's own with some values changed, and its title."""
    import yaml

    found = FRONT_MATTER.match((ROOT / README).read_text("utf-8"))
    if not found:
        raise HubError(f"{README} has no front matter, which a Space is configured by.")
    head = {**yaml.safe_load(found[0].strip("-\n")), **changed}
    kept = {key: value for key, value in head.items() if value is not None}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n# {kept['title']}\n\n{kept['short_description']}\n".encode()


def _listed(content: Content) -> Iterable[str]:
    for path, data in sorted(content.files.items()):
        yield f"{len(data):>12,} {path}"
    yield f"{sum(map(len, content.files.values())):>12,} bytes in {len(content.files)} files"
    yield f"tag: {content.tag or 'none'}"
    yield from (f"variable: {name}={value}" for name, value in content.variables.items())
    yield from (f"secret: {name}" for name in content.secrets)
    if note := _without_engine(content):
        yield note


def _said(name: str, change: Change, content: Content) -> str:
    """Return the sentences on what a push has changed."""
    if not (change.added or change.removed or change.tagged or change.settings):
        return f"{name} holds all of it already; nothing was changed. {change.url}"
    done = [f"{len(change.added)} files sent, {len(change.removed)} removed"]
    if change.tagged:
        done.append(f"tagged {content.tag}")
    if change.settings:
        done.append(f"changed {', '.join(change.settings)}")
    return "\n".join(filter(None, (f"{name}: {'; '.join(done)}. {change.url}", _without_engine(content))))


def _without_engine(content: Content) -> str | None:
    if content.sdk == "gradio" and not any(path.endswith(f"/{ENGINE}") for path in content.files):
        return "The engine for browsers is not among it; `python -m web.build` makes it."
    return None


def _name(given: str) -> str:
    if not NAME.fullmatch(given):
        raise argparse.ArgumentTypeError(f"{given!r} is not of the form OWNER/NAME")
    return given


def _model(given: str) -> str:
    name, at, revision = given.partition("@")
    if not NAME.fullmatch(name) or (at and not revision):
        raise argparse.ArgumentTypeError(f"{given!r} is not of the form OWNER/NAME or OWNER/NAME@REVISION")
    return given


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not VARIABLE.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{given!r} is not of the form NAME=VALUE")
    return name, value


def _secret(name: str) -> tuple[str, str]:
    if not os.environ.get(name):
        raise argparse.ArgumentTypeError(f"the environment has no variable {name} with the secret's value")
    return name, os.environ[name]


if __name__ == "__main__":
    sys.exit(main())
