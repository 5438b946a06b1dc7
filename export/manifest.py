"""The bundle's manifest.json: every metric, rule and origin of the model."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cat_model import bundle
from cat_model.bundle import SCHEMA, sha256
from cat_model.runtime import CAT_MAP, OUTPUTS
from cat_model.selftest import Recorded
from cat_model.verdict import CAT, NOT_A_CAT
from export import gate
from export.baseline import Budget
from export.champion import Comparison
from export.evaluate import Measurement, Plan
from export.gate import RuleResult
from train.data.manifest import PEOPLE, TEST, TRAIN, VALIDATION, WILD
from train.evaluation.metrics import Rate
from train.run import Run


@dataclass(frozen=True)
class ExportResult:
    """Everything that was found out about an exported file, and what the gate says of it.

    Attributes:
        measured: what the exported file answers.
        plan: which passes it makes over a photo, and how they are combined.
        fairness: false-positive rates by split and source of selfies.
        budget: what the file costs beside the baseline; None where no baseline was given.
        comparison: with the champion.
        results: what each rule found.
        forced: why a model ships although the gate refuses it; None where it passed or is not to ship.
        recorded: what the exported file answers in its self-test.
    """

    measured: Measurement
    plan: Plan
    fairness: Mapping[str, Mapping[str, Rate]]
    budget: Budget | None
    comparison: Comparison
    results: Sequence[RuleResult]
    forced: str | None
    recorded: Sequence[Recorded] = ()

    @property
    def word(self) -> str:
        """Return "passed", "forced" or "refused"."""
        if gate.passed(self.results):
            return "passed"
        return "forced" if self.forced else "refused"

    @property
    def ships(self) -> bool:
        """Whether the bundle may be replaced."""
        return self.word != "refused"


def build(run: Run, model: bytes, result: ExportResult) -> dict[str, Any]:
    """Return the content of manifest.json.

    Args:
        run: that trained the model.
        model: bytes of the .tflite file.
        result: on this file.
    """
    measured, digest = result.measured, sha256(model)
    return {
        "schema": SCHEMA,
        "version": f"{run.config.backbone}-{run.config.side}-{digest[:8]}",
        "model": {"file": bundle.MODEL, "bytes": len(model), "sha256": digest},
        "input": {"side": run.config.side, "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "outputs": [*OUTPUTS, CAT_MAP],
        "golden": [dataclasses.asdict(each) for each in result.recorded],
        "labels": [CAT, NOT_A_CAT],
        "threshold": measured.point.cat,
        "unsure": measured.point.unsure,
        "cascade": _cascade(result.plan),
        "passes": measured.passes,
        "metrics": _plain(measured.metrics),
        "thorough": _plain(measured.thorough),
        "stress": _plain(measured.stress),
        "calibration": {
            split: [dataclasses.asdict(each) for each in bins] for split, bins in measured.calibration.items()
        },
        "fairness": {split: _plain(rates) for split, rates in result.fairness.items()},
        "agreement": {
            "same_verdict": measured.same_verdict,
            "mean_difference": measured.mean_difference,
        },
        "baseline": dataclasses.asdict(result.budget) if result.budget else None,
        "champion": dataclasses.asdict(result.comparison),
        "gate": {
            "passed": gate.passed(result.results),
            "forced": result.forced,
            "findings": [dataclasses.asdict(each) for each in result.results],
        },
        "training": {
            "config": dataclasses.asdict(run.config),
            "command": run.command,
            "weights": run.weights,
            "init": run.config.init,
            "data_fingerprint": run.data,
            "photos": {split: len(run.manifest(split)) for split in (TRAIN, VALIDATION, TEST, PEOPLE, WILD)},
            "code_commit": run.code_commit,
            "mlflow_run": run.mlflow_run,
        },
    }


def _cascade(plan: Plan) -> dict[str, Any] | None:
    if plan.zooms is None:
        return None
    return dataclasses.replace(plan.zooms, search=plan.search).to_manifest()


def _plain(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dataclasses.asdict(each) for name, each in named.items()}
