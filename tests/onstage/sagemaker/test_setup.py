"""`onstage sagemaker setup`, and its stack: what is missing is named, and made when asked."""

import ast
import json
import os
import re
import shutil
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
    assert notebook["PlatformIdentifier"] == "notebook-al2023-v1"


def start_script() -> str:
    """What the notebook instance runs when it starts, with 60 idle minutes."""
    decoded, _ = cfnlint.decode.decode(str(TEMPLATE))
    script = decoded["Resources"]["StopWhenIdle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Sub"]
    return script.replace("${NotebookIdleMinutes}", "60").replace("${AWS::Region}", REGION)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    ("wrong", "said"), [("", ""), ("OnUnitActiveSec=", "Unknown key"), ("5min", "Failed to parse")]
)
def test_systemd_knows_every_key_of_the_units(tmp_path: Path, wrong: str, said: str) -> None:
    # Run as it is on the instance, below another root, and without a systemd to tell.
    script = start_script().replace("/usr/local/bin", str(tmp_path)).replace("/etc/systemd/system", str(tmp_path))
    subprocess.run(["bash"], input=re.sub("(?m)^systemctl .*", "", script), text=True, check=True)
    timer = tmp_path / "stop-when-idle.timer"
    if wrong:
        timer.write_text(timer.read_text(encoding="utf-8").replace(wrong, f"Never{wrong}"), encoding="utf-8")
    verify = ["systemd-analyze", "verify", "--man=no", tmp_path / "stop-when-idle.service", timer]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    # It exits with 0 for a key that it does not know.
    assert (said in done.stderr) if said else (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr


def test_the_timer_is_started_looks_again_after_no_answer_and_cron_is_not_asked() -> None:
    script = start_script()
    assert re.search(r"(?m)^TimeoutStartSec=\d+min$", script)
    assert script.rstrip().endswith("systemctl daemon-reload\nsystemctl enable --now stop-when-idle.timer")
    assert "/etc/cron" not in script


def test_the_stack_is_written_for_an_administrator_and_nothing_is_overwritten(new_desk: Desk) -> None:
    said = new_desk.run("setup", "--write", "for admins")
    file = new_desk.folder / "for admins" / "sagemaker.yaml"
    assert file.read_bytes() == TEMPLATE.read_bytes()
    assert "wrote 'for admins/sagemaker.yaml'" in said
    assert "aws cloudformation deploy --region" in said
    assert "--template-file 'for admins/sagemaker.yaml' --capabilities CAPABILITY_IAM" in said
    assert f"BucketName={new_desk.bucket}" in said
    assert f"add CreateBucket=no if there is a bucket {new_desk.bucket} already" in said
    assert "--query 'Stacks[].Outputs'" in said
    file.write_text("mine", encoding="utf-8")
    refused = new_desk.run("setup", "--write", "for admins", code=2)
    assert "'for admins/sagemaker.yaml' is there already, and was not changed" in refused
    assert file.read_text(encoding="utf-8") == "mine"
    assert "would write other/sagemaker.yaml" in new_desk.run("setup", "--write", "other", "--dry-run")
    assert not (new_desk.folder / "other").exists()
    for inside in ("settings.toml", "settings.toml/other"):
        assert "settings.toml is a file, and --write takes a folder" in new_desk.run("setup", "--write", inside, code=2)
    assert "choose one" in new_desk.run("setup", "--write", "other", "--create", code=2)
    assert not (new_desk.folder / "other").exists()


@pytest.mark.parametrize(
    ("minutes", "state", "stops"), [(59, "idle", False), (61, "idle", True), (61, "busy", False), (None, "", True)]
)
def test_a_notebook_instance_stops_when_no_kernel_has_worked(
    tmp_path: Path, minutes: int | None, state: str, stops: bool
) -> None:
    script = start_script()
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
