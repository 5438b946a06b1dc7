"""The request of a training job is what SageMaker's own description asks for."""

import json

import pytest
from botocore.stub import Stubber

from deploy import sagemaker

GIVEN = (
    "--image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/cat:1",
    "--role=arn:aws:iam::123456789012:role/train",
    "--data=s3://bucket/data/",
    "--out=s3://bucket/out",
    "--name=cats-1",
)


def printed(capsys, *more):
    assert sagemaker.main([*GIVEN, "--dry-run", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_prints_the_request_of_a_spot_job(capsys):
    asked = printed(capsys, "--channels", "photos", "boxes", "--set", "epochs=3", "quick=true")
    assert asked["HyperParameters"] == {"epochs": "3", "quick": "true"}
    assert [each["ChannelName"] for each in asked["InputDataConfig"]] == ["photos", "boxes"]
    uris = [each["DataSource"]["S3DataSource"]["S3Uri"] for each in asked["InputDataConfig"]]
    assert uris == ["s3://bucket/data/photos/", "s3://bucket/data/boxes/"]
    assert asked["CheckpointConfig"] == {
        "S3Uri": "s3://bucket/out/checkpoints/cats-1",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert asked["EnableManagedSpotTraining"] is True
    stopping = asked["StoppingCondition"]
    assert stopping["MaxWaitTimeInSeconds"] > stopping["MaxRuntimeInSeconds"] == 12 * 3600
    assert asked["AlgorithmSpecification"]["ContainerArguments"] == ["train"]


def test_a_job_on_demand_does_not_wait(capsys):
    asked = printed(capsys, "--on-demand", "--hours=0.5")
    assert asked["EnableManagedSpotTraining"] is False
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--role=train", "RoleArn"),
        ("--name=no_such_name", "TrainingJobName is 'no_such_name'"),
        ("--name=" + "x" * 64, "TrainingJobName"),
        ("--instance=m7i.4xlarge", "InstanceType is 'm7i.4xlarge'"),
        ("--disk-gb=-1", "VolumeSizeInGB"),
        ("--data=bucket/data", "S3Uri is 'bucket/data/photos/'"),
        ("--hours=0", "MaxRuntimeInSeconds"),
    ],
)
def test_what_sagemaker_would_refuse_is_not_sent(option, sentence, capsys, monkeypatch):
    monkeypatch.setattr(sagemaker, "send", None)
    assert sagemaker.main([*GIVEN, option]) == 1
    said = capsys.readouterr().err
    assert said.startswith("SageMaker would not take this request: ")
    assert sentence in said


@pytest.mark.parametrize("text", ["nan", "inf", "soon"])
def test_hours_that_are_no_number_are_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        sagemaker.main([*GIVEN, f"--hours={text}"])
    assert ended.value.code == 2
    assert "argument --hours" in capsys.readouterr().err


def test_without_boto3_the_command_that_brings_it_is_named(capsys, monkeypatch):
    monkeypatch.setattr("cat_model.extras.installed", lambda package: package != "boto3")
    assert sagemaker.main([*GIVEN, "--dry-run"]) == 1
    assert "needs the package boto3, which is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["epochs", "epochs=", "epoch=3"])
def test_what_is_no_hyperparameter_is_refused(text, capsys):
    assert sagemaker.main([*GIVEN, "--set", text, "--dry-run"]) == 1
    assert f"{text!r} is not NAME=VALUE with one of backbone, " in capsys.readouterr().err


def test_a_job_is_asked_for_and_a_refusal_is_a_sentence(capsys, monkeypatch):
    import boto3

    client = boto3.client("sagemaker", region_name="eu-west-1")
    monkeypatch.setattr(boto3, "client", lambda service, region_name: client)
    with Stubber(client) as stub:
        arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/cats-1"
        stub.add_response("create_training_job", {"TrainingJobArn": arn}, printed(capsys))
        assert sagemaker.main(list(GIVEN)) == 0
        assert capsys.readouterr().out == f"{arn}\n"
        stub.add_client_error("create_training_job", "ResourceInUse", "It is there already.")
        assert sagemaker.main(list(GIVEN)) == 1
        assert "SageMaker refused the job: " in (said := capsys.readouterr().err)
        assert "It is there already." in said
