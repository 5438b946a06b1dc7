"""The model card, generated from the manifest so that it cannot say anything else."""

from collections.abc import Mapping, Sequence
from typing import Any

BACKBONES = {
    "efficientnet_lite0": "EfficientNet-Lite0 (Google, Apache-2.0), pretrained on ImageNet",
    "mobilenet_v2": "MobileNetV2 (Google, Apache-2.0), pretrained on ImageNet",
    "tiny": "a small convolutional network, not pretrained",
}


def write(manifest: Mapping[str, Any]) -> str:
    """Return the card of a bundle in Markdown.

    Args:
        manifest: as manifest.json holds it.
    """
    training, config = manifest["training"], manifest["training"]["config"]
    low, high = manifest["unsure"]
    return f"""---
license: apache-2.0
library_name: litert
pipeline_tag: image-classification
tags: [cat, tflite, int8]
---

# Does this photo show a cat? ({manifest["version"]})

A full-integer int8 TFLite model, {manifest["model"]["bytes"] / 1e6:.2f} MB. It takes
{config["side"]} × {config["side"]} uint8 RGB pixels and gives the probability of a cat, an embedding and each
cell's share of the logit (the shares sum to the logit).

**Made from** {BACKBONES[config["backbone"]]}, under a linear head over average-pooled features;
first the head, then the upper layers were trained.

**Meant for** telling photos of house cats from other photos. **Not meant for** identifying people or animals,
for drawings, or for any decision that matters to somebody's life.

**Says** "cat" from a probability of {manifest["threshold"]:.3f} on; "not sure" from {low:.3f} to {high:.3f}.
The threshold and the band were chosen on validation photos.

## How good it is

The int8 file in LiteRT, at that threshold; in brackets the 95 % Wilson interval and the count.

| photos | recall | precision | false "cat" by group | calibration error |
|---|---|---|---|---|
{_rows(manifest["metrics"])}

`test` are photos from the training sources that neither training nor the threshold saw; `wild` are from
other sources altogether. Against the Keras model it was made from,
{manifest["agreement"]["same_verdict"]:.1%} of the verdicts on `test` are the same.

## The rules it shipped under

| rule | required | found |
|---|---|---|
{_rules(manifest["gate"]["findings"])}

## What it gets wrong

People's own photos are harder than these: a cat that is small in the picture, half hidden or in the dark is
often missed, and a small dog in a wide scene is sometimes taken for a cat.

## Trained with

    {training["command"]}

Seed {config["seed"]}; {training["photos"]["train"]} training photos,
{training["photos"]["validation"]} for validation, {training["photos"]["test"]} for the test;
near-duplicates never straddle these splits.

| | |
|---|---|
| data fingerprint | `{training["data_fingerprint"]}` |
| pretrained weights | `{training["weights"]}` |
| code commit | `{training["code_commit"]}` |
| MLflow run | `{training["mlflow_run"]}` |
| sha256 of the model | `{manifest["model"]["sha256"]}` |
"""


def _rules(findings: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"| {each['rule']} | {each['direction']} {each['limit']:g} | "
        + ("missing" if each["found"] is None else f"{each['found']:.4f}")
        + " |"
        for each in findings
    )


def _rows(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(
        f"| {split} | {_rate(each['recall'])} | {_rate(each['precision'])} | "
        + ", ".join(f"{group} {rate['hits']} / {rate['total']}" for group, rate in each["false_cat"].items())
        + f" | {each['ece']:.4f} |"
        for split, each in metrics.items()
    )


def _rate(rate: Mapping[str, float]) -> str:
    return (
        f"{rate['value']:.4f} ({rate['low']:.4f} – {rate['high']:.4f}; "
        f"{rate['hits']:.0f} / {rate['total']:.0f})"
    )
