"""`onstage sagemaker setup`, and its stack: what is missing is named, and made when asked."""

import ast
import json
import os
import re
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import cfnlint.api
import cfnlint.decode
import pytest

from onstage.project import Project
from onstage.sagemaker.client.accounts import TEMPLATE
from onstage.sagemaker.requests.policies import role_policy
from onstage.settings import load
from tests.emulators.aws import FakeAws
from tests.emulators.sagemaker import ACCOUNT, REGION
from tests.onstage.sagemaker.desk import ROLE, Desk


def test_setup_says_what_is_missing_and_makes_it_when_asked(new_desk: Desk) -> None:
    bucket = new_desk.bucket
    said = new_desk.run("setup", code=1)
    assert f"there is no bucket {bucket}" in said
    assert f"there is no role {ROLE}" in said
    assert '"iam:PassedToService": "sagemaker.amazonaws.com"' in said
    body = new_desk.run("setup", "--create", "--dry-run")
    assert '"CAPABILITY_IAM"' in body
    assert not new_desk.aws.client("cloudformation").list_stacks()["StackSummaries"]
    said = new_desk.run("setup", "--create")
    made = re.search(r'bucket = "(.+)"\nrole = "(.+)"', said)
    assert made[1] == bucket
    assert new_desk.run("setup", "--create").endswith(said[said.index("it costs") :])
    new_desk.change(ROLE, made[2])
    assert f"SageMaker may use {made[2]}" in new_desk.run("setup")

    iam, name = new_desk.aws.client("iam"), made[2].rpartition("/")[2]
    policy = iam.get_role_policy(RoleName=name, PolicyName="jobs")["PolicyDocument"]
    # moto keeps what a stack's role may do as a text of Python's.
    policy = ast.literal_eval(policy) if isinstance(policy, str) else policy
    assert policy == role_policy(load(Project(new_desk.folder)), ACCOUNT)
    encryption = new_desk.aws.client("s3").get_bucket_encryption(Bucket=bucket)
    assert "AES256" in json.dumps(encryption)


def test_the_stack_is_what_cloudformation_accepts_with_and_without_a_notebook(aws: FakeAws) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert cfnlint.api.lint(text, regions=[REGION, "eu-west-1", "cn-north-1"]) == []
    given = {"ProjectName": "iris-notes", "CreateBucket": "no", "Notebook": "yes", "InVpc": "yes",
             "NotebookSubnetId": "subnet-12345678", "NotebookSecurityGroupId": "sg-12345678"}  # fmt: skip
    before = len(aws.client("sagemaker").list_notebook_instances()["NotebookInstances"])
    aws.client("cloudformation").create_stack(
        StackName="notes", TemplateBody=text, Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )  # fmt: skip
    assert len(aws.client("sagemaker").list_notebook_instances()["NotebookInstances"]) == before + 1


def test_what_moto_does_not_look_at_is_in_the_stack() -> None:
    decoded, _ = cfnlint.decode.decode(str(TEMPLATE))
    properties = {name: one["Properties"] for name, one in decoded["Resources"].items()}
    bucket, notebook = properties["Bucket"], properties["NotebookInstance"]
    assert all(value is True for value in bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (only_tls,) = properties["BucketPolicy"]["PolicyDocument"]["Statement"]
    assert (only_tls["Effect"], only_tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (notebook["DirectInternetAccess"], notebook["RootAccess"]) == ("Disabled", "Disabled")


@pytest.mark.parametrize(
    ("minutes", "state", "stops"), [(59, "idle", False), (61, "idle", True), (61, "busy", False), (None, "", True)]
)
def test_a_notebook_instance_stops_when_no_kernel_has_worked(
    tmp_path: Path, minutes: int | None, state: str, stops: bool
) -> None:
    decoded, _ = cfnlint.decode.decode(str(TEMPLATE))
    script = decoded["Resources"]["StopWhenIdle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Sub"]
    script = script.replace("${NotebookIdleMinutes}", "60").replace("${AWS::Region}", REGION)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    program = script.partition("<<'SCRIPT'\n")[2].partition("\nSCRIPT\n")[0]
    now = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)
    sessions = []
    if minutes is not None:
        active = (now - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        sessions = [{"kernel": {"execution_state": state, "last_activity": active}}]
    # What the instance has: Jupyter's answers, its metadata, the AWS command line. It was started two hours ago.
    (tmp_path / "resource-metadata.json").write_text('{"ResourceName": "iris"}', encoding="utf-8")
    started = tmp_path / "started"
    started.touch()
    os.utime(started, (now.timestamp() - 7200,) * 2)
    program = program.replace("/opt/ml/metadata", str(tmp_path)).replace("/usr/local/bin/stop-when-idle", str(started))
    program = program.removesuffix("main()\n").removesuffix("main()")
    names: dict[str, object] = {}
    exec(compile(program, "stop-when-idle", "exec"), names)  # noqa: S102 - the subject of this test
    called: list[list[str]] = []
    answers = {"sessions": sessions, "terminals": []}
    names["ask"] = answers.__getitem__
    names["subprocess"] = SimpleNamespace(run=lambda command, check: called.append(command))
    clock = SimpleNamespace(now=lambda zone: now, fromisoformat=datetime.fromisoformat)
    names["datetime"] = SimpleNamespace(datetime=clock, timezone=timezone)
    names["main"]()
    stop = ["aws", "sagemaker", "stop-notebook-instance", "--notebook-instance-name", "iris", "--region", REGION]
    assert called == ([stop] if stops else [])
