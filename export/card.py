"""The model card in the Hugging Face format, generated from the manifest so that it cannot say anything else.

https://huggingface.co/docs/hub/model-cards; what a card should tell: Mitchell et al., "Model Cards for Model
Reporting", 2019.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cat_model import bundle
from export.gate import LOWERED
from train.config import BACKBONES
from train.evaluation.metrics import Bin, Rate

CARD, PLOT = bundle.CARD, bundle.PLOT
SPLITS = {
    "validation": "photos of the training sources; the threshold was chosen on them",
    "test": "photos of the training sources that neither training nor the threshold saw",
    "people": "photos as people send them, from other places; used for choosing, not for learning",
    "wild": "photos from other sources altogether, only ever measured on",
}


def write(manifest: Mapping[str, Any]) -> str:
    """Return the card of a bundle in Markdown.

    Args:
        manifest: as manifest.json holds it.
    """
    training, config = manifest["training"], manifest["training"]["config"]
    low, high = manifest["unsure"]
    return f"""---
{_metadata(manifest)}
---

# Does this photo show a cat? ({manifest["version"]})

A full-integer int8 TFLite model, {manifest["model"]["bytes"] / 1e6:.2f} MB. It takes
{config["side"]} × {config["side"]} uint8 RGB pixels and gives the probability of a cat, an embedding and each
cell's attribution.

## Intended use

Telling photos with a house cat from photos without one: on a page, a phone, a small board. **Not meant for**
identifying people or animals, for drawings, or for any decision that matters to somebody's life.

It says "cat" from a probability of {manifest["threshold"]:.3f} on, "not sure" from {low:.3f} to {high:.3f}.
The threshold and the band were chosen on photos that it did not learn from (validation and people).
{_passes(manifest)}

## Backbone

{_backbone(training)}

## Data and its limits

{_table(("photos", "how many", "what"), _data(training["photos"]))}

Near-duplicates never straddle the first three. Each group of photos: {_groups(manifest)}.
The labels were looked at as thumbnails, not proved; some are wrong. The photos come from public collections
whose licence rarely covers others' photos, so they are not published with the model. Frames of webcams are
missing among them; they are only imitated.

## How good it is

The int8 file in LiteRT, at that threshold; in brackets the 95 % Wilson interval and the count.

{_table(("photos", "recall", "precision", "not sure", "calibration error"), _totals(manifest["metrics"]))}
{_thorough(manifest)}

Recall of the groups with a cat and false-positive rate of the others:

{_table(("photos", "group", "said cat"), _by_group(manifest["metrics"]))}

Against the Keras model it was made from, {manifest["agreement"]["same_verdict"]:.1%} of the verdicts
on `test` are the same.

## The same photos as people would have taken them

The `test` photos, corrupted in one way each: small in another scene (1/2 and 1/3 of the side), and so on.

{_table(("slice", "recall", "precision", 'false "cat" by group'), _stressed(manifest["stress"]))}

## Calibration

![How often photos are cats, by the probability that the model said]({PLOT})

{_table(("photos", "probability", "mean", "fraction of cats"), _bins(manifest["calibration"]))}

## What it gets wrong

{_wrong(manifest)}

## Fairness across kinds of selfies

{_fairness(manifest["fairness"])}

## The rules it shipped under

{_verdict(manifest["gate"])} {manifest["champion"]["note"]}

{_table(("rule", "required", "found", ""), _rules(manifest["gate"]["findings"]))}
{_lowered(manifest["gate"]["findings"])}

{_costs(manifest.get("baseline"), manifest.get("yardstick"))}

## How to reproduce

    {training["command"]}
    python -m export --run RUN

The first line's last words name RUN. The seed is {config["seed"]}.

| | |
|---|---|
| data fingerprint | `{training["data_fingerprint"]}` |
| code commit | `{training["code_commit"]}` |
| MLflow run | `{training["mlflow_run"]}` |
| sha256 of the model | `{manifest["model"]["sha256"]}` |
"""


def plot(manifest: Mapping[str, Any]) -> bytes:
    """Return the calibration plot of a bundle as SVG: the same bytes from the same manifest."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from train.evaluation.plots import draw_reliability

    with mpl.rc_context({"svg.hashsalt": "", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
        for split, bins in manifest["calibration"].items():
            drawn = [Bin(each["low"], each["high"], each["said"], Rate(**each["cats"])) for each in bins]
            draw_reliability(axes, drawn, split)
        axes.axvline(manifest["threshold"], color="grey", linewidth=0.8)
        axes.set(xlabel="predicted probability", ylabel="fraction of cats")
        axes.legend()
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _metadata(manifest: Mapping[str, Any]) -> str:
    """Return the card's YAML head, with the figures that the hub's pages show."""
    from huggingface_hub import EvalResult, ModelCardData

    named = {(split, None): each for split, each in manifest["metrics"].items()}
    named |= {("test", name): each for name, each in manifest["stress"].items()}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="photos",
            dataset_name=f"{split}, {stress}" if stress else split,
            dataset_config=stress,
            dataset_split=split,
            metric_type=metric,
            metric_value=round(each[metric]["value"], 4),
        )
        for (split, stress), each in named.items()
        for metric in ("recall", "precision")
    ]
    card = ModelCardData(
        license="apache-2.0",
        library_name="litert",
        pipeline_tag="image-classification",
        tags=["cat", "tflite", "int8"],
        model_name=manifest["version"],
        eval_results=results,
    )
    return card.to_yaml().strip()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _data(photos: Mapping[str, int]) -> list[Sequence[str]]:
    about = {"train": "photos that it learned from", **SPLITS}
    return [(f"`{split}`", str(count), about[split]) for split, count in photos.items() if count]


def _groups(manifest: Mapping[str, Any]) -> str:
    """Name the groups of the test photos, and how many each has."""
    test = manifest["metrics"]["test"]
    both = {**test["recall_of"], **test["false_cat"]}
    return ", ".join(f"{group} ({rate['total']} in `test`)" for group, rate in both.items())


def _totals(metrics: Mapping[str, Mapping[str, Any]]) -> list[Sequence[str]]:
    return [
        (
            f"`{split}`",
            _rate(each["recall"]),
            _rate(each["precision"]),
            _rate(each["unsure"]),
            f"{each['ece']:.4f}",
        )
        for split, each in metrics.items()
    ]


def _by_group(metrics: Mapping[str, Mapping[str, Any]]) -> list[Sequence[str]]:
    return [
        (f"`{split}`", group, _rate(rate))
        for split, each in metrics.items()
        for group, rate in {**each["recall_of"], **each["false_cat"]}.items()
    ]


def _stressed(stress: Mapping[str, Mapping[str, Any]]) -> list[Sequence[str]]:
    return [
        (name, _rate(each["recall"]), _rate(each["precision"]), ", ".join(
            f"{group} {rate['hits']} / {rate['total']}" for group, rate in each["false_cat"].items()
        ))
        for name, each in stress.items()
    ]  # fmt: skip


def _bins(calibration: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Sequence[str]]:
    return [
        (f"`{split}`", f"{each['low']:.1f} – {each['high']:.1f}", f"{each['said']:.3f}", _rate(each["cats"]))
        for split, bins in calibration.items()
        for each in bins
    ]


def _wrong(manifest: Mapping[str, Any]) -> str:
    """Name the hardest slice and groups by the figures themselves."""
    stress, metrics = manifest["stress"], manifest["metrics"]
    slice_name, hardest = min(stress.items(), key=lambda item: item[1]["recall"]["value"])
    cats = [(s, g, r) for s, each in metrics.items() for g, r in each["recall_of"].items()]
    others = [(s, g, r) for s, each in metrics.items() for g, r in each["false_cat"].items()]
    missed, called = (
        min(cats, key=lambda item: item[2]["value"]),
        max(others, key=lambda item: item[2]["value"]),
    )
    return (
        f"It misses cats most often in `{missed[0]}` / {missed[1]}: it finds {_rate(missed[2])}. "
        f"Of the corrupted photos, `{slice_name}` are the hardest: it finds {_rate(hardest['recall'])}. "
        f"It calls `{called[0]}` / {called[1]} cats most often: {_rate(called[2])}."
    )


def _fairness(fairness: Mapping[str, Mapping[str, Any]]) -> str:
    if not fairness:
        return "The photos came without a list of their sources, so kinds of selfies could not be told apart."
    rows = [
        (f"`{split}`", source, _rate(rate))
        for split, sources in fairness.items()
        for source, rate in sources.items()
    ]
    about = (
        "How many selfies of each source were called cats. The sources differ in cameras, countries, "
        "masks and makeup; who is in them is not known."
    )
    return f"{about}\n\n{_table(('photos', 'source', 'called a cat'), rows)}"


def _verdict(gate: Mapping[str, Any]) -> str:
    if gate["passed"]:
        return "It passed every rule."
    if gate["forced"]:
        return f"It did not pass every rule. It ships all the same, for this reason: {gate['forced']}"
    return "It did not pass every rule, and was refused."


def _rules(results: Sequence[Mapping[str, Any]]) -> list[Sequence[str]]:
    return [
        (
            each["rule"],
            f"{each['direction']} {each['limit']:g}",
            "missing" if each["found"] is None else f"{each['found']:.4f}",
            "" if each["passed"] else "**refused**",
        )
        for each in results
    ]


def _lowered(results: Sequence[Mapping[str, Any]]) -> str:
    """Name the limits that are looser than they once were."""
    limits = {each["rule"]: each["limit"] for each in results}
    return "".join(
        f"\n`{rule}` was lowered from {stricter:g}: {why}."
        for rule, (stricter, why) in LOWERED.items()
        if limits.get(rule, stricter) > stricter
    )


def _costs(budget: Mapping[str, Any] | None, older: Mapping[str, Any] | None) -> str:
    if budget is None and older is not None:
        named = ("megabytes", "invoke_ms", "memory_mb")
        budget = {
            "baseline": older["yardstick"],
            "passes": 1.0,
            "verdict_ms": older["verdict_ms"],
            **{name: older[name] for name in named},
            **{f"baseline_{name}": older[f"yardstick_{name}"] for name in named},
        }
    if budget is None:
        return "Time and memory were not measured: no baseline was given."
    return (
        f"Beside `{budget['baseline']}` in the same run, on one thread: {budget['verdict_ms']:.2f} ms "
        f"from a decoded photo of 640 × 480 to the answer of the full view ({budget['invoke_ms']:.2f} ms of "
        f"it the interpreter's), of which people's photos get {budget['passes']:.2f} passes on average; "
        f"the baseline's bare invoke {budget['baseline_invoke_ms']:.2f} ms; "
        f"{budget['memory_mb']:.1f} and {budget['baseline_memory_mb']:.1f} MB of memory, "
        f"{budget['megabytes']:.2f} and {budget['baseline_megabytes']:.2f} MB on the disk."
    )


def _backbone(training: Mapping[str, Any]) -> str:
    """Name the backbone and the weights that training began with."""
    name, init = training["config"]["backbone"], training.get("init")
    about = BACKBONES[name].about if name in BACKBONES else name
    if init:
        return (
            f"{about}. **This run did not begin with the ImageNet weights alone:** it went on from "
            f"`{init}`, a network of the same form, trained on photos of the same training split."
            f"{_mean(training['config'].get('init_weight', 0.0))}"
        )
    return f"{about}. Pretrained weights: `{training['weights']}`."


def _mean(init_weight: float) -> str:
    if not init_weight:
        return ""
    return (
        f" The model is the mean of those weights ({init_weight:g}) and the ones fine-tuned in this run "
        f"({1 - init_weight:g}; WiSE-FT, Wortsman et al. 2022)."
    )


def _passes(manifest: Mapping[str, Any]) -> str:
    """Say which passes follow the full view."""
    zooms, tiles = manifest.get("cascade"), manifest.get("second_look")
    if tiles:
        return (
            "\nWhere the full view is ambiguous, the app sees five tiles as well and combines both "
            "(`second_look` in the\nmanifest). All figures are with that."
        )
    if not zooms:
        return ""
    sides = " and ".join(f"{side:g}" for side in zooms["zooms"])
    inner = f", and {zooms['inner']:g} within the first if no cat was found" if zooms["inner"] else ""
    return (
        f"\nUnless the full view is sure, the app zooms in where the cat map has its peak ({sides} of the "
        f"side{inner})\nand combines the logits (`cascade` in the manifest). All figures are with that."
    )


def _thorough(manifest: Mapping[str, Any]) -> str:
    """Return the tables of the thorough search; empty without one."""
    found = manifest.get("thorough")
    if not found:
        return ""
    table = _table(("photos", "recall", "precision", "not sure", "calibration error"), _totals(found))
    groups = _table(("photos", "group", "said cat"), _by_group(found))
    return f"\nThe thorough search (`thorough=True`), at its own threshold:\n\n{table}\n\n{groups}\n"


def _rate(rate: Mapping[str, float]) -> str:
    return (
        f"{rate['value']:.4f} ({rate['low']:.4f} – {rate['high']:.4f}; "
        f"{rate['hits']:.0f} / {rate['total']:.0f})"
    )
