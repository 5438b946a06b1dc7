"""What the bundle says of itself: manifest.json, with every figure, rule and origin of the model."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cat_model import bundle
from cat_model.bundle import SCHEMA, SecondLook, sha256
from cat_model.golden import Golden
from cat_model.predict import CAT, NOT_A_CAT
from export import gate
from export.champion import Comparison
from export.gate import Finding
from export.measure import Measurement
from export.yardstick import Budget
from train.dataset import PEOPLE, TEST, TRAIN, VALIDATION, WILD
from train.evaluate import Rate
from train.run import Run


@dataclass(frozen=True)
class Verdict:
    """Everything the gate's verdict rests on.

    Attributes:
        measured: what the exported file answers.
        second_look: how it looks again where it is in doubt, or None.
        fairness: false "cat" by split and source of selfies.
        budget: what the file costs beside the yardstick; None where no yardstick was given.
        comparison: with the champion.
        findings: what each rule found.
        forced: why a model ships although the gate refuses it; None where it passed or is not to ship.
        golden: what the exported file answers about golden pictures.
    """

    measured: Measurement
    second_look: SecondLook | None
    fairness: Mapping[str, Mapping[str, Rate]]
    budget: Budget | None
    comparison: Comparison
    findings: Sequence[Finding]
    forced: str | None
    golden: Sequence[Golden] = ()

    @property
    def word(self) -> str:
        """Return "passed", "forced" or "refused"."""
        if gate.passed(self.findings):
            return "passed"
        return "forced" if self.forced else "refused"

    @property
    def ships(self) -> bool:
        """Whether the bundle may be replaced."""
        return self.word != "refused"


def build(run: Run, model: bytes, verdict: Verdict) -> dict[str, Any]:
    """Return the content of manifest.json.

    Args:
        run: that trained the model.
        model: bytes of the .tflite file.
        verdict: on this file.
    """
    measured, digest = verdict.measured, sha256(model)
    return {
        "schema": SCHEMA,
        "version": f"{run.config.backbone}-{run.config.side}-{digest[:8]}",
        "model": {"file": bundle.MODEL, "bytes": len(model), "sha256": digest},
        "input": {"side": run.config.side, "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "outputs": ["probability", "embedding", "share"],
        "golden": [dataclasses.asdict(each) for each in verdict.golden],
        "labels": [CAT, NOT_A_CAT],
        "threshold": measured.threshold,
        "unsure": measured.unsure,
        "second_look": dataclasses.asdict(verdict.second_look) if verdict.second_look else None,
        "metrics": _plain(measured.metrics),
        "stress": _plain(measured.stress),
        "calibration": {
            split: [dataclasses.asdict(each) for each in bins] for split, bins in measured.calibration.items()
        },
        "fairness": {split: _plain(rates) for split, rates in verdict.fairness.items()},
        "agreement": {
            "same_verdict": measured.same_verdict,
            "mean_difference": measured.mean_difference,
        },
        "yardstick": dataclasses.asdict(verdict.budget) if verdict.budget else None,
        "champion": dataclasses.asdict(verdict.comparison),
        "gate": {
            "passed": gate.passed(verdict.findings),
            "forced": verdict.forced,
            "findings": [dataclasses.asdict(finding) for finding in verdict.findings],
        },
        "training": {
            "config": dataclasses.asdict(run.config),
            "command": run.command,
            "weights": run.weights,
            "data_fingerprint": run.data,
            "photos": {split: len(run.manifest(split)) for split in (TRAIN, VALIDATION, TEST, PEOPLE, WILD)},
            "code_commit": run.code_commit,
            "mlflow_run": run.mlflow_run,
        },
    }


def _plain(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dataclasses.asdict(each) for name, each in named.items()}
