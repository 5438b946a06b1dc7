"""From a run folder to the shipped bundle, through the gate."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cat_model import bundle, golden, signature
from cat_model.bundle import SecondLook
from cat_model.files import write_durably
from export import card, champion, fairness, gate, manifest, measure, second_look, yardstick
from export.convert import convert
from export.manifest import Verdict
from export.reference import REFERENCE, Reference
from train import model as train_model
from train.dataset import TEST, TRAIN, VALIDATION
from train.run import MODEL, Run
from train.tracking import FAULTS, Tracker, flatten


@dataclass(frozen=True)
class Order:
    """What export is told.

    Attributes:
        run: run folder of a finished training.
        target: bundle folder to replace.
        rules: TOML file with the gate's rules.
        yardstick: another uint8 .tflite file that size, time and memory are measured against, or None.
        dry_run: whether the bundle stays as it is even if the model passes.
        force: why the bundle is to be replaced even if the gate refuses; None to obey the gate.
        key: file with the Ed25519 key to sign the bundle with, in PEM; None to leave it unsigned.
    """

    run: Path
    target: Path
    rules: Path
    yardstick: Path | None
    dry_run: bool
    force: str | None
    key: Path | None = None


def publish(order: Order) -> bool:
    """Convert, measure and judge a run's model; replace the bundle if every rule holds.

    The verdict goes to the run folder and to MLflow either way; that MLflow cannot be reached stops nothing.

    Returns:
        Whether the model may ship: every rule holds, or somebody gave a reason to ship it all the same.

    Raises:
        TrainError: there is no finished run in the folder, or a photo has changed since.
        GateError: the rules or the yardstick cannot be used, or the reason to force is empty.
        ExportError: the model cannot be converted.
        SignatureError: the key to sign with cannot be used.
        BundleError: the bundle cannot be written.
    """
    if order.force is not None and not order.force.strip():
        raise gate.GateError("--force needs a reason; the manifest keeps it.")
    key = order.key.read_bytes() if order.key else None
    if key is not None:
        signature.sign(b"", key)  # better known now than after an hour of measuring
    limits = gate.read_rules(order.rules)
    base = yardstick.read(order.yardstick) if order.yardstick else None
    if base is None:
        print(
            "No yardstick: the rules on size, time and memory will count as missing, and so refuse. "
            "Give another uint8 .tflite file to measure against: --yardstick FILE or CAT_YARDSTICK."
        )
    run = Run.read(order.run)
    keras_model = train_model.load(run.folder / MODEL)
    converted = convert(keras_model, run.pixels(TRAIN), run.config.seed)
    look = second_look.choose(converted, run)
    verdict = _judge(run, keras_model, converted, look, base, limits, order)

    export = run.folder / "export"
    files = _files(run, converted, verdict)
    if key is not None:
        files[signature.SIGNATURE], _ = signature.sign(files[bundle.MANIFEST], key)
    for name, content in files.items():
        write_durably(export / name, content)
    print(gate.table(verdict.findings))
    print(verdict.comparison.note)
    try:
        _conclude(order, verdict, files, export)
    finally:
        _try_to_track(run, verdict, export)
    return verdict.ships


def _judge(
    run: Run,
    keras_model: train_model.CatModel,
    converted: bytes,
    look: SecondLook | None,
    base: bytes | None,
    limits: Mapping[str, float],
    order: Order,
) -> Verdict:
    judging = measure.predictor(converted, run.config.side, look)
    answers, pixels = measure.plain(judging, run), run.pixels(TEST)
    on_test = measure.agreement(converted, pixels), keras_model.probabilities(pixels, run.config.batch)
    measured = measure.measure(answers, measure.stressed(judging, run), on_test)
    comparison = champion.compare(run, answers[TEST], measured.threshold, order.target)
    twice = second_look.share(look, on_test[0])
    budget = yardstick.measure(converted, base, order.yardstick.name, twice) if base else None
    figures = measure.for_gate(measured, _negative_groups(run))
    figures |= {"champion.p_worse": comparison.p_worse} | (budget.for_gate() if budget else {})
    findings = gate.judge(figures, limits)
    return Verdict(
        measured=measured,
        second_look=look,
        fairness=fairness.selfies_by_source(run, answers, measured.threshold),
        budget=budget,
        comparison=comparison,
        findings=findings,
        forced=None if gate.passed(findings) else order.force,
        golden=golden.record(converted),
    )


def _negative_groups(run: Run) -> list[str]:
    """Return the groups of the run's photos that are no cats; each must have been measured on the test."""
    records = [record for split in (TRAIN, VALIDATION, TEST) for record in run.manifest(split)]
    return sorted({record.group for record in records if not record.is_cat})


def _files(run: Run, converted: bytes, verdict: Verdict) -> dict[str, bytes]:
    content = manifest.build(run, converted, verdict)
    records = [record for split in (TRAIN, VALIDATION, TEST) for record in run.manifest(split)]
    return {
        bundle.MODEL: converted,
        bundle.MANIFEST: json.dumps(content, indent=1).encode() + b"\n",
        card.CARD: card.write(content).encode(),
        card.PLOT: card.plot(content),
        REFERENCE: Reference.of(records, measure.traffic(converted, run, verdict.second_look)).to_json(),
    }


def _try_to_track(run: Run, verdict: Verdict, export: Path) -> None:
    """Tell MLflow, or say that it could not be told: an hour of measuring must not be lost by that."""
    try:
        _track(run, verdict, export)
    except FAULTS as error:
        print(f"MLflow could not be told the verdict, which lies in {export}: {error}", file=sys.stderr)


def _track(run: Run, verdict: Verdict, export: Path) -> None:
    tracker = Tracker(run.tracking_uri, run.mlflow_run)
    for split, metrics in verdict.measured.metrics.items():
        tracker.metrics(flatten(f"int8.{split}", metrics))
    for name, metrics in verdict.measured.stress.items():
        rates = {"recall": metrics.recall, "false_cat": measure.false_cat(metrics)}
        tracker.metrics({f"int8.stress.{name}.{which}": rate.value for which, rate in rates.items()})
    if verdict.budget:
        tracker.metrics(verdict.budget.for_gate())
    tracker.tag("gate", verdict.word)
    tracker.text(gate.table(verdict.findings), "gate.txt")
    tracker.file(export, "export")


def _conclude(order: Order, verdict: Verdict, files: Mapping[str, bytes], export: Path) -> None:
    if order.dry_run or not verdict.ships:
        print(f"{verdict.word.capitalize()}. {order.target} is as it was; what was judged lies in {export}.")
        return
    written = bundle.write(order.target, files)
    print(f"{verdict.word.capitalize()}. {order.target} now holds {written.version}.")
