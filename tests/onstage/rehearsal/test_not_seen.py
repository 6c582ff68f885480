"""What the last section of a report says: only what is true for the request, with the versions here and there."""

import importlib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from onstage.checks.source_checks import Source
from onstage.rehearsal import unseen
from onstage.rehearsal.operation_checks import Server
from onstage.sagemaker.agent.not_seen import not_seen as not_seen_by_sagemaker
from onstage.sagemaker.requests.images import image_uri
from onstage.vertex.agent.not_seen import not_seen as not_seen_by_vertex

HERE = {"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6"}
SERVER = Server("serving:2.21", "2.21", "2.21", "", Source(Path(__file__).parent, Path()))


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has what the newest images have, and Python 3.11."""
    monkeypatch.setattr(metadata, "version", HERE.__getitem__)
    monkeypatch.setattr(unseen.machine, "python_version_tuple", lambda: ("3", "11", "7"))


def training_job(instance: str = "ml.m5.xlarge", version: str = "2.21", **members: Any) -> dict[str, Any]:
    image = image_uri("us-east-1", "training", "cpu", version)
    return {
        "TrainingJobName": "a",
        "AlgorithmSpecification": {"TrainingImage": image},
        "ResourceConfig": {"InstanceType": instance, "InstanceCount": 1},
        **members,
    }


def custom_job(image: str = "docker.io/tensorflow/tensorflow:2.21.0", **members: Any) -> dict[str, Any]:
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1, "containerSpec": {"imageUri": image}}
    return {"displayName": "a", "jobSpec": {"workerPoolSpecs": [{**pool, **members}]}}


def test_a_plain_job_has_a_few_short_lines() -> None:
    assert not_seen_by_sagemaker(training_job(), SERVER) == [
        "sagemaker: quotas and permissions, and whether buckets and the role exist",
        "sagemaker: the image's own libraries: Python 3.12 there, 3.11 here",
        "sagemaker: ml.m5.xlarge: its memory and disk",
    ]
    assert not_seen_by_vertex(custom_job(), SERVER) == [
        "vertex: quotas and permissions, and whether the project and buckets exist",
        "vertex: the image's own libraries; Python, tensorflow, keras and numpy have the same versions here",
        "vertex: n1-standard-4: its memory and disk",
    ]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (training_job(version="2.19"),
         "sagemaker: the image's own libraries: Python 3.12 there, 3.11 here; tensorflow 2.19 there, 2.21.0 here"),
        (training_job(AlgorithmSpecification={"TrainingImage": "me/mine:1"}),
         ("sagemaker: what the image me/mine:1 holds; here are Python 3.11, tensorflow 2.21.0, keras 3.15.1, "
          "numpy 2.4.6")),
        (training_job("ml.g5.xlarge"),
         "sagemaker: ml.g5.xlarge: its GPU, memory and disk; the job has this machine's processor"),
        (training_job(ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}),
         "sagemaker: the network between 2 machines, which are processes of this one here"),
        (training_job(ResourceConfig={"InstanceGroups": [
            {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}, {"InstanceType": "ml.m4.xlarge"}]}),
         "sagemaker: the network between 3 machines, which are processes of this one here"),
        (training_job(VpcConfig={"Subnets": ["a"]}, OutputDataConfig={"KmsKeyId": "b"}),
         "sagemaker: quotas and permissions, and whether buckets, the role, the subnets and the keys exist"),
        (training_job(EnableManagedSpotTraining=True),
         "sagemaker: how often spot capacity is taken away: here the job runs once, to its end"),
        ({"HyperParameterTuningJobName": "a", "TrainingJobDefinition": training_job()},
         "sagemaker: the search: here one trial runs, with the middle of every range"),
        (custom_job("us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"),
         "vertex: the image's own libraries: Python 3.10 there, 3.11 here; tensorflow 2.17 there, 2.21.0 here"),
        (custom_job(machineSpec={"machineType": "g2-standard-4", "acceleratorType": "NVIDIA_L4"}),
         "vertex: g2-standard-4: its GPU (NVIDIA_L4), memory and disk; the job has this machine's processor"),
        (custom_job(replicaCount="3"), "vertex: the network between 3 machines, which are processes of this one here"),
        ({"trialJobSpec": custom_job()["jobSpec"]},
         "vertex: the search: here one trial runs, with the middle of every range"),
        ({"jobSpec": {**custom_job()["jobSpec"], "serviceAccount": "a", "network": "b"}, "encryptionSpec": {"c": "d"}},
         ("vertex: quotas and permissions, and whether the project, buckets, the service account, the network and the "
          "key exist")),
    ],
)  # fmt: skip
def test_what_a_request_asks_for_is_a_line(body: dict[str, Any], line: str) -> None:
    found = not_seen_by_sagemaker(body, SERVER) if line.startswith("sagemaker") else not_seen_by_vertex(body, SERVER)
    assert line in found
    plain = [*not_seen_by_sagemaker(training_job(), SERVER), *not_seen_by_vertex(custom_job(), SERVER)]
    assert line not in plain


SERVERS = [
    (replace(SERVER, tensorflow="2.20"),
     ("whether the server computes with every type that the model has: TensorFlow 2.20 there, 2.21.0 here; "
      "--serving-version 2.20 tries it")),
    (replace(SERVER, tensorflow="2.13"),
     "whether the server computes with every type that the model has: TensorFlow 2.13 there, 2.21.0 here"),
    (replace(SERVER, image="mine", tensorflow=""),
     "the TensorFlow of mine, which will serve the model; here is 2.21.0"),
    (None, "the TensorFlow that will serve the model, which the request does not name; here is 2.21.0"),
]  # fmt: skip


@pytest.mark.parametrize(("server", "line"), SERVERS)
def test_a_server_of_another_version_is_a_line(server: Server | None, line: str) -> None:
    assert f"sagemaker: {line}" in not_seen_by_sagemaker(training_job(), server)
    assert f"vertex: {line}" in not_seen_by_vertex(custom_job(), server)


def test_a_version_that_was_asked_beside_the_one_here_is_no_line() -> None:
    server = replace(SERVER, tensorflow="2.20")
    for ask, body in ((not_seen_by_sagemaker, training_job()), (not_seen_by_vertex, custom_job())):
        assert ask(body, server, "2.20") == ask(body, SERVER)
        assert ask(body, server, "2.15") == ask(body, server)


def test_a_library_that_is_not_installed_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name.startswith("tensorflow"):
            raise metadata.PackageNotFoundError
        return HERE[name]

    monkeypatch.setattr(metadata, "version", version)
    assert "tensorflow 2.21.0 there, none here" in not_seen_by_vertex(custom_job(), SERVER)[1]


@pytest.mark.parametrize("body", [{}, {"jobSpec": {}}, {"jobSpec": {"workerPoolSpecs": [{}]}}, {"trialJobSpec": {}}])
def test_a_request_that_lacks_everything_has_lines(body: dict[str, Any]) -> None:
    for platform in ("sagemaker", "vertex"):
        lines = importlib.import_module(f"onstage.{platform}.agent.not_seen").not_seen(body, None)
        assert all(line.startswith(f"{platform}: ") for line in lines)
        assert lines
