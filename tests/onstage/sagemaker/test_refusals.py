"""What AWS refuses is explained on one screen, with what to do."""

import re
from dataclasses import dataclass

import pytest

from onstage.sagemaker.client.errors import advice
from tests.onstage.sagemaker.desk import BUCKET, Desk


@dataclass
class Refusal:
    """A request of a command that AWS answers with an error, and what is printed then."""

    command: str
    fault: tuple[str, str, str, int]
    said: list[str]


REFUSALS = {
    "expired token": Refusal(
        "status a-job", ("SageMaker.Describe", "ExpiredTokenException", "The security token is expired", 400),
        ["the session has ended: log in again, for example with: aws sso login"]),
    "expired token at the bucket": Refusal(
        "upload", (f"(HEAD|GET) /{BUCKET}", "ExpiredToken", "The provided token has expired.", 400),
        ["ExpiredToken: The provided token has expired.", "log in again"]),
    "unknown key": Refusal(
        "status a-job", ("SageMaker.Describe", "UnrecognizedClientException", f"AKIA{'B' * 16} is invalid", 400),
        ["(access key) is invalid", "AWS does not know these credentials"]),
    "wrong clock": Refusal(
        "upload", (f"GET /{BUCKET}", "RequestTimeTooSkewed", "The difference is too large", 403),
        ["set this machine's clock"]),
    "access denied": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "AccessDeniedException",
                  "User ada is not authorized to perform: sagemaker:CreateTrainingJob", 400),
        ["not authorized to perform: sagemaker:CreateTrainingJob",
         "the permissions to ask for: onstage sagemaker setup"]),
    "somebody else's bucket": Refusal(
        "upload", (f"(HEAD|GET) /{BUCKET}", "AccessDenied", "Access Denied", 403),
        ["it belongs to somebody else: bucket in settings.toml", "onstage sagemaker setup"]),
    "a bucket's name that is taken": Refusal(
        "upload --create-bucket", (f"PUT /{BUCKET}", "BucketAlreadyExists", "The name is not available.", 409),
        ["the name belongs to somebody else", "choose another bucket in settings.toml"]),
    "quota": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "ResourceLimitExceeded",
                  "The account-level service limit 'ml.m5.xlarge for training job usage' is 0 Instances", 400),
        ["the account may use no more of ml.m5.xlarge in us-east-1", "Service Quotas"]),
    "throttling": Refusal(
        "status a-job", ("SageMaker.DescribeTrainingJob", "ThrottlingException", "Rate exceeded", 400),
        ["AWS is asked too often", "try again in a minute"]),
    "a role that SageMaker may not use": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "ValidationException", "Could not assume role arn:x", 400),
        ["look at role in settings.toml"]),
    "a fault of AWS": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "InternalFailure", "try later", 500),
        ["AWS has a fault; try again later", "the job may have been sent: onstage sagemaker status iris-"]),
    "no connection at the bucket": Refusal(
        "train", (f"HEAD /{BUCKET}", "", "", 0), ["is there a connection to the internet"]),
    "no connection for the source": Refusal(
        "train", (f"PUT /{BUCKET}/iris_classifier/jobs", "", "", 0),
        ["is there a connection to the internet", "nothing was sent"]),
    "no connection for the job": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "", "", 0),
        ["the job may have been sent: onstage sagemaker status iris-"]),
    "no such job": Refusal("status no-such-job", ("never", "", "", 0), ["no job 'no-such-job' in us-east-1",]),
    "no such endpoint": Refusal(
        "predict request.json --endpoint none", ("never", "", "", 0), ["Endpoint none of account"]),
}  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize("name", REFUSALS)
def test_what_aws_refuses_is_explained_on_one_screen(desk: Desk, name: str) -> None:
    refusal = REFUSALS[name]
    pattern, code, message, status = refusal.fault
    desk.aws.fail(pattern, code, message, status)
    (desk.folder / "request.json").write_text('{"instances": [[1, 2, 3, 4]]}', encoding="utf-8")
    before = len(desk.aws.jobs)
    said = desk.run(*refusal.command.split(), code=1)
    assert [text for text in refusal.said if text not in re.sub(r"\s+", " ", said)] == [], said
    assert len(said.splitlines()) < 40
    assert len(desk.aws.jobs) == before


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": ""}, "Partial credentials"),
        ({"AWS_PROFILE": "no-such"}, "look at AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "is there a connection to the internet"),
    ],
)
def test_without_an_account_a_command_says_how_to_get_in(desk: Desk, environment: dict[str, str], said: str) -> None:
    assert said in desk.run("upload", code=1, **environment)
    assert "CreateTrainingJob" in desk.run("train", "--dry-run", **environment)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("AlgorithmError: ModuleNotFoundError: No module named 'polars'", "add polars to src/requirements.txt"),
        ("ClientError: Data download failed: No S3 objects found", "send the data: onstage sagemaker upload"),
        ("AlgorithmError: , exit code: 137", "the machine's memory is full"),
        ("Stopped, MaxRuntimeExceeded", "raise max_runtime"),
        ("InternalServerError: We encountered an internal error. Please try again.", "send the job again"),
        ("The primary container for production variant AllTraffic did not pass the ping health check.", "rehearse"),
        ("AlgorithmError: a mistake", "onstage rehearse sagemaker"),
        ("something else", ""),
    ],
)
def test_a_reason_has_a_likely_cause(reason: str, said: str) -> None:
    assert said in advice(reason)
    assert bool(said) == bool(advice(reason))
