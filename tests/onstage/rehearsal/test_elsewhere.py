"""What `onstage body` reads: whose request a file has, in which spelling, and what cannot be rehearsed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from onstage.commands.application import PLATFORMS
from onstage.errors import StartError
from onstage.rehearsal.elsewhere import recognise
from tests.onstage.small import forked, refusal

JOB = {"TrainingJobName": "a", "HyperParameters": {"Learning_Rate": "0.1"}}


def write(folder: Path, content: Any, name: str = "x.json") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else (content or "").encode())
    return file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"no request body in x\.json: .*No such file"),
        (b"{", r"no request body in x\.json: Expecting property name"),
        (b"[{}]", r"no request body in x\.json: it is no JSON object"),
        (b"3", r"no request body in x\.json: it is no JSON object"),
        (b"\xff", r"no request body in x\.json: 'utf-8' codec"),
        (b"{}", r"x\.json has no training or tuning request: its keys are none; looked for TrainingJobName, "),
        (b"", r"no request body in x\.json: it is empty$"),
        (b"[" * 99_999, r"no request body in x\.json: it is nested too deeply, or in itself$"),
        (b'{"kind": 1}', r"x\.json has .* its keys are kind; .*trialJobSpec, workerPoolSpecs \(vertex\)$"),
    ],
)
def test_what_is_no_request_is_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        write(tmp_path, content)
    assert re.match(said, refusal(forked("body", "x.json", folder=tmp_path)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "while parsing a flow node"),
        ("- a", "it is no YAML object"),
        ("a: 1\n---\nb: 2\n", "expected a single"),
        ("a: &a\n  b: *a\n", "nested too deeply, or in itself"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{one}: &{one} [{', '.join([f'*{chr(ord(one) - 1)}'] * 10)}]\n" for one in "bcdef"),
            "more than 200000 values",
        ),
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    write(tmp_path, content, "x.yaml")
    line = refusal(forked("body", "x.yaml", folder=tmp_path))
    assert line.startswith("no request body in x.yaml: ")
    assert said in line


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ({"Get": "Parameters.Epochs"}, 'HyperParameters.epochs is {"Get": "Parameters.Epochs"}'),
        ({"Std:Join": {"On": "/", "Values": ["s3://a", "b"]}}, "HyperParameters.epochs is"),
        ("{{$.inputs.parameters['epochs']}}", "HyperParameters.epochs is"),
        ("{{channel:task=;name=epochs;type=Integer;}}", "HyperParameters.epochs is"),
    ],
)
def test_a_variable_of_a_pipeline_is_named(tmp_path: Path, value: Any, member: str) -> None:
    body = {"TrainingJobName": "a", "HyperParameters": {"epochs": value}}
    file = write(tmp_path, json.dumps(body))
    with pytest.raises(StartError, match=re.escape(member)) as caught:
        recognise(file, PLATFORMS)
    assert "write the value" in str(caught.value)


@pytest.mark.parametrize("value", ["10", "{{not a variable}}", '{"Get": "x"}', "{braces}"])
def test_a_text_with_braces_is_no_variable(tmp_path: Path, value: str) -> None:
    file = write(tmp_path, json.dumps({"TrainingJobName": "a", "HyperParameters": {"text": value}}))
    assert recognise(file, PLATFORMS)[1].body["HyperParameters"] == {"text": value}


REQUESTS = {
    "JSON": (json.dumps(JOB), "sagemaker", "CreateTrainingJob", JOB),
    "YAML": ("TrainingJobName: a\nHyperParameters:\n  Learning_Rate: '0.1'\n", "sagemaker", "CreateTrainingJob", JOB),
    "the SDK's spelling": (
        json.dumps({"training_job_name": "a", "hyper_parameters": {"Learning_Rate": "0.1"}, "role_arn": None}),
        "sagemaker", "CreateTrainingJob", JOB,
    ),
    "an answer": (
        json.dumps({**JOB, "TrainingJobArn": "arn:x", "CreationTime": 3, "TrainingJobStatus": "Failed"}),
        "sagemaker", "CreateTrainingJob", JOB,
    ),
    "a tuning request": (
        '{"HyperParameterTuningJobName": "a"}', "sagemaker", "CreateHyperParameterTuningJob",
        {"HyperParameterTuningJobName": "a"},
    ),
    "a custom job": (
        '{"displayName": "a", "jobSpec": {"workerPoolSpecs": []}}', "vertex", "CustomJob",
        {"displayName": "a", "jobSpec": {"workerPoolSpecs": []}},
    ),
    "the spec that gcloud reads": (
        "workerPoolSpecs:\n- replicaCount: 1\n", "vertex", "CustomJob",
        {"displayName": "x", "jobSpec": {"workerPoolSpecs": [{"replicaCount": 1}]}},
    ),
    "what gcloud describes": (
        "createTime: 2026-07-01T10:00:00Z\ndisplayName: a\njobSpec: {}\nname: projects/1/locations/europe-west4/x/2\n",
        "vertex", "CustomJob", {"displayName": "a", "jobSpec": {}},
    ),
    "snake case": (
        '{"display_name": "a", "job_spec": {"worker_pool_specs": [{"python_package_spec": {"package_uris": ["gs://b/x"]}}]}}',
        "vertex", "CustomJob",
        {"displayName": "a", "jobSpec": {"workerPoolSpecs": [{"pythonPackageSpec": {"packageUris": ["gs://b/x"]}}]}},
    ),
    "a vertex tuning request": (
        '{"trialJobSpec": {}, "displayName": "t"}', "vertex", "HyperparameterTuningJob",
        {"trialJobSpec": {}, "displayName": "t"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_recognised_in_every_form(tmp_path: Path, case: str) -> None:
    text, platform, kind, body = REQUESTS[case]
    found, request = recognise(write(tmp_path, text, "x.json" if text[0] == "{" else "x.yaml"), PLATFORMS)
    assert (found, request.kind, request.body) == (platform, kind, body)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (json.dumps(JOB).encode("utf-16"), "x.json"),
        (b"\xef\xbb\xbf" + json.dumps(JOB).encode(), "x.json"),
        (b"{TrainingJobName: a, HyperParameters: {Learning_Rate: '0.1'}}", "x.yaml"),
        (b"TrainingJobName: !!timestamp a\nHyperParameters: {Learning_Rate: '0.1'}", "x.yaml"),
    ],
)
def test_a_file_is_read_as_editors_and_shells_write_it(tmp_path: Path, content: bytes, name: str) -> None:
    assert recognise(write(tmp_path, content, name), PLATFORMS)[1].body == JOB


TUNING = {
    "HyperParameterTuningJobName": "a",
    "HyperParameterTuningJobConfig": {"Strategy": "Random", "ResourceLimits": {"MaxParallelTrainingJobs": 1}},
    "TrainingJobDefinition": "x",
}


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"TrainingJobName": "a", "InputDataConfig": 3}, "must be"),
        (TUNING, "TrainingJobDefinition: must be"),
        ({"jobSpec": {"workerPoolSpecs": ["x"]}}, "must be an object, not 'x'"),
        ({"trialJobSpec": [], "studySpec": {}}, "trialJobSpec: must be an object"),
    ],
)
def test_a_wrong_type_is_a_finding_and_ignored_or_not_selected_one_line(
    tmp_path: Path, body: dict[str, Any], member: str
) -> None:
    write(tmp_path, json.dumps(body))
    done = forked("body", "x.json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert member in done.stdout
    platform = "sagemaker" if "TrainingJob" in str(body) else "vertex"
    for words in (("--ignore", f"{platform}.request"), ("--select", f"{platform}.flags")):
        done = forked("body", "x.json", *words, folder=tmp_path)
        assert done.returncode == 2, done.stdout
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: the request cannot be rehearsed as long as this is wrong: "), done.stderr


def test_what_only_an_answer_has_is_said_and_a_misspelt_member_is_kept(tmp_path: Path) -> None:
    answer = recognise(write(tmp_path, json.dumps({**JOB, "TrainingJobArn": "arn:x"})), PLATFORMS)[1]
    assert answer.left_out == ["TrainingJobArn"]
    misspelt = recognise(write(tmp_path, json.dumps({**JOB, "RoleAnr": "arn:x"})), PLATFORMS)[1]
    assert (misspelt.left_out, misspelt.body["RoleAnr"]) == ((), "arn:x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image-python", "2.7"), "--image-python is such as 3.12, not 2.7"),
        (("--channel", "train"), "--channel is NAME=PATH, not train"),
        (("--set", "epochs="), "--set is NAME=VALUE, not epochs="),
        (("--set", "a=1", "--set", "a=2"), "--set a is given twice: 1 and 2; give one"),
        (("--channel", "a=x", "--channel", "a=y"), "--channel a is given twice: x and y; give one"),
        (("--store", "nowhere"), "--store: there is no folder nowhere"),
    ],
)
def test_an_option_that_cannot_be_read_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    write(tmp_path, json.dumps(JOB))
    assert refusal(forked("body", "x.json", *words, folder=tmp_path)) == said


@pytest.mark.parametrize(("body", "platform"), [({"TrainingJobName": "a"}, "sagemaker"), ({"jobSpec": {}}, "vertex")])
def test_a_request_is_checked_as_its_platform_would(tmp_path: Path, body: dict[str, Any], platform: str) -> None:
    write(tmp_path, json.dumps(body))
    done = forked("body", "x.json", folder=tmp_path)
    assert done.returncode == 1
    assert re.search(rf"(?m)^{platform}\.request +.* FAILED", done.stdout), done.stdout + done.stderr
