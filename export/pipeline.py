"""The export pipeline: convert, fit the cascade, gate, replace the bundle that ships, and register it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cat_model import bundle, selftest, signature
from cat_model.atomic import write_durably
from export import baseline, card, cascade_fit, champion, evaluate, fairness, gate, manifest
from export.convert import convert
from export.manifest import ExportResult
from export.reference import REFERENCE, Reference
from train.config import TrainError
from train.data.manifest import PEOPLE, TEST, TRAIN, VALIDATION
from train.models import heads
from train.run import MODEL, Run
from train.store import require_store
from train.tracking import FAULTS, Tracker, flatten


@dataclass(frozen=True)
class ExportOptions:
    """What export is told.

    Attributes:
        run: run folder of a finished training.
        target: bundle folder to replace.
        rules: TOML file with the gate's rules.
        baseline: another uint8 .tflite file that size, time and memory are measured against, or None.
        dry_run: whether the bundle stays as it is even if the model passes.
        force: why the bundle is to be replaced even if the gate refuses; None to obey the gate.
        key: file with the Ed25519 key to sign the bundle with, in PEM; None to leave it unsigned.
        without_mlflow: whether what MLflow would be told is kept in the run folder, and its store not asked.
    """

    run: Path
    target: Path
    rules: Path
    baseline: Path | None
    dry_run: bool
    force: str | None
    key: Path | None = None
    without_mlflow: bool = False


def publish(options: ExportOptions) -> bool:
    """Convert, measure and gate a run's model; replace the bundle if every rule holds.

    The gate's result goes to the run folder and to MLflow either way. MLflow's store is asked first; if it
    goes away later, that stops nothing, and what it misses is kept in the run folder.

    Returns:
        Whether the model may ship: every rule holds, or somebody gave a reason to ship it all the same.

    Raises:
        TrainError: there is no finished run in the folder, a photo has changed since, or MLflow's store
            cannot be used.
        GateError: the rules or the baseline cannot be used, or the reason to force is empty.
        ExportError: the model cannot be converted.
        SignatureError: the key to sign with cannot be used.
        BundleError: the bundle cannot be written.
    """
    if options.force is not None and not options.force.strip():
        raise gate.GateError("--force needs a reason; the manifest keeps it.")
    key = options.key.read_bytes() if options.key else None
    if key is not None:
        signature.sign(b"", key)  # better known now than after an hour of measuring
    limits = gate.read_rules(options.rules)
    base = baseline.read(options.baseline) if options.baseline else None
    if base is None:
        print(
            "No baseline: the rules on size, time and memory will count as missing, and so refuse. "
            "Give another uint8 .tflite file to measure against: --baseline FILE or CAT_BASELINE."
        )
    run = Run.read(options.run)
    if not options.without_mlflow:
        require_store(run.tracking_uri)
    keras_model = heads.load(run.folder / MODEL)
    converted = convert(keras_model, run.pixels(TRAIN), run.config.seed)
    result = _evaluate(run, keras_model, converted, limits, options)

    export = run.folder / "export"
    (export / signature.SIGNATURE).unlink(missing_ok=True)  # of an earlier export
    files = _files(run, converted, result)
    if key is not None:
        files[signature.SIGNATURE], _ = signature.sign(files[bundle.MANIFEST], key)
    for name, content in files.items():
        write_durably(export / name, content)
    print(gate.table(result.results))
    print(result.comparison.note)
    shipped = False
    try:
        shipped = _conclude(options, result, files, export)
    finally:
        _try_to_track(options, run, result, export, shipped)
    return result.ships


def _evaluate(
    run: Run,
    keras_model: heads.CatModel,
    converted: bytes,
    limits: Mapping[str, float],
    options: ExportOptions,
) -> ExportResult:
    model = evaluate.cascade(converted)
    fit = cascade_fit.choose(model, run)
    said, pixels = evaluate.plain(model, run, fit.plan), run.pixels(TEST)[:]
    on_test = evaluate.full_view(model, pixels), keras_model.probabilities(pixels, run.config.batch)
    thorough = fit.plan.search.threshold if fit.plan.search else None
    measured = evaluate.measure(said, evaluate.stressed(model, run, fit.plan), on_test, fit.point, thorough)
    comparison = champion.compare(run, said[TEST], fit.point.cat, options.target)
    passes = measured.passes.get(PEOPLE, measured.passes[TEST])
    budget = None
    if options.baseline:
        budget = baseline.measure(converted, baseline.read(options.baseline), options.baseline.name, passes)
    figures = evaluate.for_gate(measured)
    figures |= {"champion.p_worse": comparison.p_worse} | (budget.for_gate() if budget else {})
    results = gate.apply(figures, limits)
    return ExportResult(
        measured=measured,
        plan=fit.plan,
        fairness=fairness.selfies_by_source(run, said, fit.point.cat),
        budget=budget,
        comparison=comparison,
        results=results,
        forced=None if gate.passed(results) else options.force,
        recorded=selftest.record(converted),
    )


def _files(run: Run, converted: bytes, result: ExportResult) -> dict[str, bytes]:
    content = manifest.build(run, converted, result)
    traffic = evaluate.traffic(evaluate.cascade(converted), run, result.plan)
    records = [record for split in (TRAIN, VALIDATION, TEST) for record in run.manifest(split)]
    return {
        bundle.MODEL: converted,
        bundle.MANIFEST: json.dumps(content, indent=1).encode() + b"\n",
        card.CARD: card.write(content).encode(),
        card.PLOT: card.plot(content),
        REFERENCE: Reference.of(records, traffic).to_json(),
    }


def _try_to_track(
    options: ExportOptions, run: Run, result: ExportResult, export: Path, shipped: bool
) -> None:
    """Tell MLflow, or say that it could not be told: an hour of measuring must not be lost by that."""
    try:
        _track(options, run, result, export, shipped)
    except (*FAULTS, bundle.BundleError, TrainError) as error:
        print(
            f"MLflow could not be told all of the gate's result, which lies in {export}: {error}",
            file=sys.stderr,
        )


def _track(options: ExportOptions, run: Run, result: ExportResult, export: Path, shipped: bool) -> None:
    tracker = Tracker(run.tracking_uri, run.mlflow_run, run.folder, keep=options.without_mlflow)
    for split, metrics in result.measured.metrics.items():
        tracker.metrics(flatten(f"int8.{split}", metrics))
    for name, metrics in result.measured.stress.items():
        rates = {"recall": metrics.recall, "false_cat": evaluate.false_positives(metrics)}
        tracker.metrics({f"int8.stress.{name}.{which}": rate.value for which, rate in rates.items()})
    if result.budget:
        tracker.metrics(result.budget.for_gate())
    tracker.tag("gate", result.word)
    tracker.text(gate.table(result.results), "gate.txt")
    registered = shipped or result.word == "passed"
    for path in sorted(export.iterdir()):
        if not (registered and path.name == bundle.MODEL):  # the registry has it
            tracker.file(path, "export")
    if registered:
        tracker.register(export, result.word == "passed", options.target if shipped else None)
    if options.without_mlflow:
        print(f"MLflow was not asked. python -m train track {run.folder} tells it.")


def _conclude(options: ExportOptions, result: ExportResult, files: Mapping[str, bytes], export: Path) -> bool:
    """Replace the bundle, if it may be; return whether it was."""
    if options.dry_run or not result.ships:
        print(
            f"{result.word.capitalize()}. {options.target} is as it was; the exported files lie in {export}."
        )
        return False
    written = bundle.write(options.target, files)
    print(f"{result.word.capitalize()}. {options.target} now holds {written.version}.")
    return True
