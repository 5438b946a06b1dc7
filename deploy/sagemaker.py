"""A training job on SageMaker: `python -m deploy.sagemaker --image IMAGE --role ARN --data s3://… --out s3://…`.

--data holds a folder for each channel: photos, people, wild, feedback, boxes, weights. The request is checked
by botocore's description of SageMaker before it is sent; --dry-run prints it instead. Exit code 0 when the
job was asked for or printed, 1 with a sentence when it cannot be.
"""

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cat_model import extras
from cat_model.extras import MissingExtraError
from pipelines.sagemaker import FILES, FOLDERS, METRICS, NEEDED, SWITCHES, VALUES

CHANNELS = (*FOLDERS, *FILES)
GRACE_S = 3600
"""How much longer than it may run a spot job may wait for its machines."""


class RequestError(Exception):
    """SageMaker would not take the request; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        asked = request(options)
        validate(asked)
        if options.dry_run:
            print(json.dumps(asked, indent=2))
        else:
            print(send(asked, options.region))
    except (RequestError, MissingExtraError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.sagemaker", description="Train on SageMaker.")
    parser.add_argument("--image", required=True, help="of this project, in a registry that SageMaker reads")
    parser.add_argument("--role", required=True, help="ARN of the role that the job takes")
    parser.add_argument("--data", required=True, help="s3://… with a folder for each channel")
    parser.add_argument("--out", required=True, help="s3://… for the model and the checkpoints")
    parser.add_argument(
        "--channels", nargs="+", choices=CHANNELS, default=[NEEDED], help=f"folders of --data ({NEEDED})"
    )
    parser.add_argument("--name", help="of the job; the same name goes on with its checkpoints (by the time)")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="hyperparameters")
    parser.add_argument("--instance", default="ml.m7i.4xlarge", help="type of the machine (ml.m7i.4xlarge)")
    parser.add_argument("--disk-gb", type=int, default=100, help="of the machine (100)")
    parser.add_argument("--hours", type=_hours, default=12.0, help="after which the job is ended (12)")
    parser.add_argument("--on-demand", action="store_true", help="no spot machine: dearer, not interrupted")
    parser.add_argument("--region", help="of SageMaker (as boto3 is set)")
    parser.add_argument("--dry-run", action="store_true", help="print the request, and send nothing")
    return parser


def _hours(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is no number of hours")
    return number


def request(options: argparse.Namespace) -> dict[str, Any]:
    """Return the request of CreateTrainingJob.

    Raises:
        RequestError: a hyperparameter is none.
    """
    name = options.name or time.strftime("are-you-a-cat-%Y%m%d-%H%M%S", time.gmtime())
    data, out = options.data.rstrip("/"), options.out.rstrip("/")
    seconds = round(options.hours * 3600)
    limits = {"MaxRuntimeInSeconds": seconds}
    return {
        "TrainingJobName": name,
        "RoleArn": options.role,
        "AlgorithmSpecification": {
            "TrainingImage": options.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "pipelines.sagemaker"],
            "ContainerArguments": ["train"],
            "MetricDefinitions": [{"Name": key, "Regex": regex} for key, regex in METRICS.items()],
        },
        "HyperParameters": hyperparameters(options.set),
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"{data}/{channel}/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in options.channels
        ],
        "OutputDataConfig": {"S3OutputPath": f"{out}/models"},
        "CheckpointConfig": {"S3Uri": f"{out}/checkpoints/{name}", "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {
            "InstanceType": options.instance,
            "InstanceCount": 1,
            "VolumeSizeInGB": options.disk_gb,
        },
        "EnableManagedSpotTraining": not options.on_demand,
        "StoppingCondition": limits
        if options.on_demand
        else limits | {"MaxWaitTimeInSeconds": seconds + GRACE_S},
    }


def hyperparameters(given: Sequence[str]) -> dict[str, str]:
    """Return hyperparameters by their names, from texts NAME=VALUE.

    Raises:
        RequestError: one has no value, or there is none of that name.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and value) or name not in VALUES + SWITCHES:
            raise RequestError(f"{text!r} is not NAME=VALUE with one of {', '.join(VALUES + SWITCHES)}.")
        found[name] = value
    return found


def validate(asked: Mapping[str, Any]) -> None:
    """Check a request against botocore's description of SageMaker: kinds, names, lengths, patterns, choices.

    Raises:
        RequestError: it does not fit; nothing was sent.
        MissingExtraError: boto3 is missing, whose description it is.
    """
    extras.require("boto3", "s3", "The request")
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape
    problems = ParamValidator().validate(asked, shape)
    said = [problems.generate_report()] if problems.has_errors() else []
    said += _unfit(asked, shape, "")
    if said:
        raise RequestError(f"SageMaker would not take this request: {'; '.join(said)}.")


def _unfit(value: Any, shape: Any, where: str) -> list[str]:  # noqa: ANN401 - botocore's shapes have no types
    """Return which texts do not fit the pattern or the choices of their shape: the validator passes them."""
    if shape.type_name == "structure":
        return [each for name, part in value.items() for each in _unfit(part, shape.members[name], name)]
    if shape.type_name == "list":
        return [each for part in value for each in _unfit(part, shape.member, where)]
    if shape.type_name == "map":
        return [each for name, part in value.items() for each in _unfit(part, shape.value, f"{where} {name}")]
    if shape.type_name != "string":
        return []
    pattern = shape.metadata.get("pattern")
    wrong = pattern and not re.fullmatch(pattern, value)
    if wrong or (shape.enum and value not in shape.enum):
        return [f"{where} is {value!r}, which SageMaker does not know"]
    return []


def send(asked: Mapping[str, Any], region: str | None) -> str:
    """Ask for a job; return its ARN.

    Raises:
        RequestError: it was refused.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return boto3.client("sagemaker", region_name=region).create_training_job(**asked)["TrainingJobArn"]
    except (BotoCoreError, ClientError) as error:
        raise RequestError(f"SageMaker refused the job: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
