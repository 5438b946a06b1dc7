"""From a run folder to the shipped bundle, through the gate."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cat_model import bundle
from cat_model.bundle import SCHEMA, sha256
from cat_model.files import write_durably
from cat_model.predict import CAT, NOT_A_CAT
from export import card, gate, measure
from export.convert import convert
from export.gate import Finding
from export.measure import Answers, Measurement
from train import model as train_model
from train.dataset import TEST, TRAIN, VALIDATION, WILD
from train.run import MODEL, Run
from train.tracking import Tracker, flatten


def publish(folder: Path, target: Path, rules: Path) -> bool:
    """Convert, measure and judge a run's model; replace the bundle if every rule holds.

    The verdict goes to the run folder and to MLflow either way.

    Args:
        folder: run folder of a finished training.
        target: bundle folder to replace.
        rules: TOML file with the gate's rules.

    Returns:
        Whether the bundle was replaced.

    Raises:
        TrainError: there is no finished run in the folder.
        GateError: the rules cannot be used.
        ExportError: the model cannot be converted.
        BundleError: the bundle cannot be written.
    """
    limits = gate.read_rules(rules)
    run = Run.read(folder)
    keras_model = train_model.load(folder / MODEL)
    converted = convert(keras_model, run.pixels(TRAIN), run.config.seed)
    measured = _measure(run, keras_model, converted)
    findings = gate.judge(measure.for_gate(measured, converted), limits)
    files = _bundle(run, converted, measured, findings)

    export = folder / "export"
    for name, content in files.items():
        write_durably(export / name, content)
    _track(run, measured, findings, export)
    print(gate.table(findings))
    if not gate.passed(findings):
        print(f"Refused. {target} is as it was; what was refused lies in {export}.")
        return False
    written = bundle.write(target, files)
    print(f"Passed. {target} now holds {written.version}.")
    return True


def _measure(run: Run, keras_model: train_model.CatModel, converted: bytes) -> Measurement:
    answers = {}
    for split in (VALIDATION, TEST, WILD):
        groups = np.array([record.group for record in run.manifest(split)])
        if len(groups):
            answers[split] = Answers(measure.answer(converted, run.pixels(split)), groups)
    return measure.measure(answers, keras_model.probabilities(run.pixels(TEST), run.config.batch))


def _bundle(
    run: Run, converted: bytes, measured: Measurement, findings: Sequence[Finding]
) -> dict[str, bytes]:
    digest = sha256(converted)
    manifest = {
        "schema": SCHEMA,
        "version": f"{run.config.backbone}-{run.config.side}-{digest[:8]}",
        "model": {"file": bundle.MODEL, "bytes": len(converted), "sha256": digest},
        "input": {"side": run.config.side, "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "outputs": ["probability", "embedding", "share"],
        "labels": [CAT, NOT_A_CAT],
        "threshold": measured.threshold,
        "unsure": measured.unsure,
        "metrics": {split: dataclasses.asdict(metrics) for split, metrics in measured.metrics.items()},
        "agreement": {
            "same_verdict": measured.same_verdict,
            "mean_difference": measured.mean_difference,
        },
        "gate": {
            "passed": gate.passed(findings),
            "findings": [dataclasses.asdict(finding) for finding in findings],
        },
        "training": {
            "config": dataclasses.asdict(run.config),
            "command": run.command,
            "weights": run.weights,
            "data_fingerprint": run.data,
            "photos": {split: len(run.manifest(split)) for split in (TRAIN, VALIDATION, TEST, WILD)},
            "code_commit": run.code_commit,
            "mlflow_run": run.mlflow_run,
        },
    }
    return {
        bundle.MODEL: converted,
        bundle.MANIFEST: json.dumps(manifest, indent=1).encode() + b"\n",
        "MODEL_CARD.md": card.write(manifest).encode(),
    }


def _track(run: Run, measured: Measurement, findings: Sequence[Finding], export: Path) -> None:
    tracker = Tracker(run.tracking_uri, run.mlflow_run)
    for split, metrics in measured.metrics.items():
        tracker.metrics(flatten(f"int8.{split}", metrics))
    tracker.tag("gate", "passed" if gate.passed(findings) else "refused")
    tracker.text(gate.table(findings), "gate.txt")
    tracker.file(export, "export")
