"""The stages, in their order: what each runs, reads and writes, and what its exit codes mean.

    pull → check → train → export → publish      watch

Nothing is imported here but Python's own library, so that an engine's environment can read the list too.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipelines import fingerprint
from pipelines.settings import REFRESH, TUNE, PipelineError, Settings

PULL, CHECK, TRAIN, EXPORT, PUBLISH, WATCH = "pull", "check", "train", "export", "publish", "watch"
RUN, CONFIG, EXPORTED = "run", "config", "exported"
"""Values that stages hand on: a run's folder, the file that a search wrote, the run that ships."""
REFRESHED, PARENT, LEARNED = "refreshed", "parent", "learned"
"""Of the last refresh: the run that it made, the one that it began from, and `Context.answers`."""
OVERRIDE = "--override-checks"


@dataclass
class Context:
    """What a stage's commands are made from.

    Attributes:
        settings: of the pipeline.
        values: what earlier commands handed on: RUN, CONFIG and so on.
    """

    settings: Settings
    values: dict[str, str] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """The folder of the run that is to be exported.

        Raises:
            PipelineError: no stage has left one.
        """
        if RUN not in self.values:
            raise PipelineError("No training run is known yet: the stage train makes one.")
        return Path(self.values[RUN])

    @cached_property
    def answers(self) -> str:
        """Fingerprint of the feedback set's records, as they were at the first look."""
        return fingerprint.of_files(_records(self.settings), self.settings.file.parent)

    def result(self, stage: str) -> Path:
        """Return the file that a stage's command writes its result to."""
        return self.settings.folder / "results" / f"{stage}.json"


Command = Callable[[Context], list[str]]
Files = Callable[[Context], list[Path]]


@dataclass(frozen=True)
class Stage:
    """A part of the pipeline.

    Attributes:
        name: as `--from` and `--until` have it.
        about: what it does, in a few words.
        packages: whose code its commands run.
        commands: one after the other; the words of each, "python" first where it runs in CAT_PYTHON.
        inputs: files and folders whose content decides the result.
        sources: those of them that are there before any stage has run.
        outputs: files and folders that must be as the stage left them if it is to be skipped.
        codes: what the exit codes of its commands mean.
        needs: stages without whose success it cannot begin.
        off: says why the stage has nothing to do in a pipeline; empty where it has.
        retrains: whether it is part of a retraining, so that `--if-needed` may leave it out.
        elsewhere: whether it reads what has no content here to go by, so that it is never skipped.
    """

    name: str
    about: str
    packages: tuple[str, ...]
    commands: Callable[[Settings], tuple[Command, ...]]
    inputs: Files
    sources: Files
    outputs: Files
    codes: Mapping[int, str]
    needs: Callable[[Settings], tuple[str, ...]] = lambda _: ()
    off: Callable[[Settings], str] = lambda _: ""
    retrains: bool = False
    elsewhere: Callable[[Settings], bool] = lambda _: False


def _options(*pairs: tuple[str, object]) -> list[str]:
    return [str(word) for name, value in pairs if value is not None for word in (name, value)]


def _present(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]


def _words(options: Iterable[str]) -> list[str]:
    """Return options as names and values, each a word of its own: --side=96 is two."""
    return [word for each in options for word in (each.split("=", 1) if each.startswith("--") else [each])]


def _named_files(settings: Settings, options: Iterable[str]) -> list[Path]:
    """Return the files among the words of options, such as weights to go on from."""
    return [path for word in _words(options) if settings.at(path := Path(word)).is_file()]


def _pull(context: Context) -> list[str]:
    settings = context.settings
    options = _options(("--out", settings.feedback), ("--source", settings.source))
    return ["python", "-m", "train", "feedback", "pull", *options]


def _photos(settings: Settings) -> list[str]:
    return _options(
        ("--photos", settings.photos),
        ("--people", settings.people),
        ("--wild", settings.wild),
        ("--policy", settings.policy),
        ("--decisions", settings.decisions),
    )


def checks(settings: Settings) -> Path:
    """Return the folder that the stage check writes its report to."""
    return settings.folder / "checks"


def _check(context: Context) -> list[str]:
    settings = context.settings
    given = dict(itertools.pairwise(_words(settings.train_options)))
    options = _options(("--backbone", given.get("--backbone")), ("--out", checks(settings)))
    return ["python", "-m", "train", "check", *_photos(settings), *options]


def _reviewed(settings: Settings) -> Path | None:
    """Return the feedback set if it has photos that a person reviewed."""
    there = settings.feedback and settings.at(settings.feedback / "reviewed.csv").exists()
    return settings.feedback if there else None


def _train(context: Context) -> list[str]:
    settings = context.settings
    options = _options(
        ("--boxes", settings.boxes),
        ("--feedback", _reviewed(settings)),
        ("--config", context.values.get(CONFIG) if settings.how == TUNE else None),
        ("--out", settings.runs),
        ("--result", context.result(TRAIN)),
    )
    return ["python", "-m", "train", "run", *_photos(settings), *options, *settings.train_options]


def _tune(context: Context) -> list[str]:
    settings = context.settings
    # A search looks at no wild photos.
    options = _options(
        ("--boxes", settings.boxes), ("--out", settings.runs), ("--result", context.result(TRAIN))
    )
    photos = _photos(dataclasses.replace(settings, wild=None))
    return ["python", "-m", "train", "tune", *photos, *options, *settings.tune_options]


def parent(context: Context) -> Path:
    """Return the run whose head a refresh fits anew: the one that ships, unless it has learned the answers.

    Then it is the one that this refresh began from. So the same answers are learned once, and a refresh is
    no reason for the next one.

    Raises:
        PipelineError: none is named, and none was exported here.
    """
    values = context.values
    run = context.settings.run or values.get(EXPORTED)
    if run and run == values.get(REFRESHED) and values.get(LEARNED) == context.answers:
        run = values.get(PARENT, run)
    if run is None:
        raise PipelineError(
            f"{context.settings.file}: a refresh starts from the run that is served; "
            "[train] needs run, its folder."
        )
    return Path(run)


def _refresh(context: Context) -> list[str]:
    settings = context.settings
    options = _options(
        ("--run", parent(context)), ("--feedback", settings.feedback), ("--result", context.result(TRAIN))
    )
    return ["python", "-m", "train", "refresh", *options, *settings.train_options]


def _export(context: Context) -> list[str]:
    settings = context.settings
    options = _options(
        ("--run", context.run),
        ("--bundle", settings.bundle),
        ("--baseline", settings.baseline),
        ("--gate", settings.gate),
    )
    return ["python", "-m", "export", *options]


def _publish(context: Context) -> list[str]:
    places = {"{bundle}": str(context.settings.bundle), "{run}": context.values.get(RUN, "")}
    words = list(context.settings.publish)
    for place, path in places.items():
        words = [word.replace(place, path) for word in words]
    return words


def _drift(context: Context) -> list[str]:
    settings = context.settings
    options = _options(
        ("--traffic", settings.traffic),
        ("--bundle", settings.bundle),
        ("--out", settings.folder / "drift"),
        ("--result", context.result(WATCH)),
    )
    return ["python", "-m", "train", "drift", *options]


def _report(context: Context) -> list[str]:
    return ["python", "-m", "train", "feedback", "report", str(context.settings.feedback)]


def _pull_files(context: Context) -> list[Path]:
    return _present(context.settings.source)


def _photo_files(context: Context) -> list[Path]:
    settings = context.settings
    return _present(settings.photos, settings.people, settings.wild, settings.policy, settings.decisions)


def _records(settings: Settings) -> list[Path]:
    return [folder / "records" for folder in _present(settings.feedback)]


def _train_files(context: Context) -> list[Path]:
    settings = context.settings
    named = _named_files(settings, settings.train_options)
    if settings.how == REFRESH:
        run = parent(context)
        of_run = [run / "model.keras", run / "manifest.csv", run / "export" / "model.tflite"]
        return [*of_run, *_records(settings), *named]
    if settings.how == TUNE:
        named += _named_files(settings, settings.tune_options)
    answers = [
        folder / name for folder in _present(_reviewed(settings)) for name in ("reviewed.csv", "photos")
    ]
    return [*_photo_files(context), *_present(settings.boxes), *answers, *named]


def _export_files(context: Context) -> list[Path]:
    names = ("model.keras", "manifest.csv", "people.csv", "wild.csv", "summary.json")
    return [*(context.run / name for name in names), *_export_sources(context)]


def _export_sources(context: Context) -> list[Path]:
    return _present(context.settings.baseline, context.settings.gate)


def _watch_files(context: Context) -> list[Path]:
    settings = context.settings
    return [*_present(settings.traffic, settings.bundle), *_records(settings)]


def _without_photos(settings: Settings) -> str:
    return "a refresh learns from answers, not from photos" if settings.how == REFRESH else ""


def _train_commands(settings: Settings) -> tuple[Command, ...]:
    return {REFRESH: (_refresh,), TUNE: (_tune, _train)}.get(settings.how, (_train,))


def _watch_commands(settings: Settings) -> tuple[Command, ...]:
    pulled = settings.feedback and settings.at(settings.feedback / "versions").is_dir()
    return (_drift, _report) if pulled else (_drift,)


def _train_needs(settings: Settings) -> tuple[str, ...]:
    return (PULL,) if OVERRIDE in settings.train_options else (PULL, CHECK)


DONE, STOPPED = "done", "stopped; the same command goes on"
STAGES = (
    Stage(
        PULL,
        "people's feedback into a local set",
        packages=("train", "cat_model"),
        commands=lambda _: (_pull,),
        inputs=_pull_files,
        sources=_pull_files,
        outputs=lambda context: [context.settings.feedback / "versions"] if context.settings.feedback else [],
        codes={0: DONE, 1: "the store or the folder does not answer"},
        off=lambda settings: "" if settings.feedback else "no [feedback] is set",
        elsewhere=lambda settings: settings.source is None,
    ),
    Stage(
        CHECK,
        "checks of the photos",
        packages=("train", "cat_model"),
        commands=lambda _: (_check,),
        inputs=_photo_files,
        sources=_photo_files,
        outputs=lambda context: [checks(context.settings) / "checks.json"],
        codes={0: "no errors", 1: "errors were found, or the photos cannot be checked"},
        off=_without_photos,
        retrains=True,
    ),
    Stage(
        TRAIN,
        "training, search and training, or refresh",
        packages=("train", "cat_model"),
        commands=_train_commands,
        inputs=_train_files,
        sources=_train_files,
        outputs=lambda context: [context.run / "model.keras", context.run / "summary.json"],
        codes={0: DONE, 1: "the photos, the feedback or MLflow's store do not do", 130: STOPPED},
        needs=_train_needs,
        retrains=True,
    ),
    Stage(
        EXPORT,
        "conversion and quality gate",
        packages=("export", "train", "cat_model"),
        commands=lambda _: (_export,),
        inputs=_export_files,
        sources=_export_sources,
        outputs=lambda context: [context.settings.bundle],
        codes={0: "the bundle was replaced", 1: "the gate refused, or the model cannot be exported"},
        needs=lambda _: (TRAIN,),
        retrains=True,
    ),
    Stage(
        PUBLISH,
        "the bundle to registry and hub",
        packages=(),
        commands=lambda _: (_publish,),
        inputs=lambda context: [context.settings.bundle],
        sources=lambda _: [],
        outputs=lambda _: [],
        codes={0: DONE},
        needs=lambda _: (EXPORT,),
        off=lambda settings: "" if settings.publish else "no [publish] command is set",
        retrains=True,
    ),
    Stage(
        WATCH,
        "drift, and the report on feedback",
        packages=("train", "cat_model"),
        commands=_watch_commands,
        inputs=_watch_files,
        sources=_watch_files,
        outputs=lambda context: [context.settings.folder / "drift" / "drift.html"],
        codes={0: "no alarm", 1: "an alarm, or nothing to compare"},
        off=lambda settings: "" if settings.traffic else "no [watch] traffic is set",
    ),
)
"""All stages, in the order in which they run."""
NAMES = tuple(stage.name for stage in STAGES)
