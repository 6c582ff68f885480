"""The AWS account: what jobs and endpoints need in it, and the stack of account.yaml that has it all."""

import json
import time
from pathlib import Path
from typing import Any

from onstage.cloud import AccountFile, NotFoundError, Plan, Request, Step
from onstage.commands import show
from onstage.errors import UserError
from onstage.report import Finding, Report
from onstage.sagemaker.client import errors
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.client.storage import S3Bucket
from onstage.sagemaker.requests import images, policies
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

TEMPLATE = Path(__file__).with_name("account.yaml")
PLATFORM = "sagemaker"
_CREATE = "onstage sagemaker setup --create"
_WRITE = "onstage sagemaker setup --write DIR"


def check(report: Report, clients: Clients, settings: Settings, bucket: S3Bucket) -> str:
    """What is missing, as findings; the policies of the jobs' role and of whoever sends them, as a text."""
    cloud = settings.cloud(SageMaker)
    who: dict[str, str] = {}

    def check_credentials() -> str:
        who.update(clients.call("sts", "get_caller_identity"))
        return f"{who['Arn']}, account {who['Account']}"

    report.run(PLATFORM, "region", lambda: _check_region(settings))
    if report.run(PLATFORM, "credentials", check_credentials):
        report.run(PLATFORM, "bucket", lambda: _check_bucket(clients, bucket))
        report.run(PLATFORM, "role", lambda: _check_role(clients, cloud.role))
        report.run(PLATFORM, "permissions", lambda: _check_permissions(clients, settings, who))
        report.run(PLATFORM, "quotas", lambda: _check_quotas(clients, settings))
    account = who.get("Account", "ACCOUNT")
    role, person = policies.role_policy(settings, account), policies.person_policy(settings, account)
    return (
        f"what the jobs' role may do, and needs no more:\n{json.dumps(role, indent=2)}\n"
        f"what you may do with this project:\n{json.dumps(person, indent=2)}\n"
        f"{_CREATE} makes bucket and role; --dry-run shows the stack, {_WRITE} writes it for an administrator"
    )


def plan(clients: Clients, settings: Settings) -> Plan:
    """The stack; a bucket that is there already is not made again."""
    cloud, parameters = settings.cloud(SageMaker), _parameters(settings)
    if cloud.bucket:
        try:
            S3Bucket(clients, cloud.bucket).require()
            parameters["CreateBucket"] = "no"
        except UserError as error:
            if not isinstance(error.__cause__, NotFoundError):
                raise
    body: dict[str, Any] = {
        "StackName": stack_name(settings),
        "TemplateBody": TEMPLATE.read_text(encoding="utf-8"),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM"],
        "OnFailure": "DELETE",
    }
    step = Step(f"the stack {body['StackName']}", Request("CreateStack", body), lambda: _create_stack(clients, body))
    return Plan("stack", body["StackName"], [step], "nothing but the objects in the bucket, by the month")


def account_file(settings: Settings) -> AccountFile:
    """The stack as a file, with how it is sent and what comes of it. Whether the bucket is there, nobody is asked."""
    cloud, name = settings.cloud(SageMaker), stack_name(settings)
    chosen = [f"{key}={value}" for key, value in _parameters(settings).items() if value]
    command = [
        "aws", "cloudformation", "deploy", "--region", cloud.region, "--stack-name", name,
        "--template-file", "{file}", "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *chosen,
    ]  # fmt: skip
    outputs = f"describe-stacks --region {cloud.region} --stack-name {name} --query 'Stacks[].Outputs'"
    notes = [f"then put what it made into settings.toml, [sagemaker]: aws cloudformation {outputs}"]
    if cloud.bucket:
        notes.insert(0, f"add CreateBucket=no if there is a bucket {cloud.bucket} already")
    return AccountFile("sagemaker.yaml", TEMPLATE.read_text(encoding="utf-8"), command, notes)


def result(clients: Clients, settings: Settings) -> dict[str, str]:
    """The bucket and role of the stack, as settings.toml calls them."""
    stack = clients.call("cloudformation", "describe_stacks", StackName=stack_name(settings))["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    return {"bucket": outputs["BucketName"], "role": outputs["RoleArn"]}


def stack_name(settings: Settings) -> str:
    """The stack's name in CloudFormation."""
    return f"{settings.name.replace('_', '-')}-sagemaker"


def _parameters(settings: Settings) -> dict[str, str]:
    cloud, name = settings.cloud(SageMaker), settings.name.replace("_", "-")
    return {"ProjectName": name, "BucketName": cloud.bucket, "InVpc": "yes" if cloud.subnets else "no"}


def _create_stack(clients: Clients, body: dict[str, Any]) -> None:
    try:
        clients.call("cloudformation", "create_stack", **body)
    except UserError as error:
        if errors.code(error.__cause__) != "AlreadyExistsException":
            raise
    with show.Waiting() as waiting:
        for pause in show.pauses():
            stack = clients.call("cloudformation", "describe_stacks", StackName=body["StackName"])["Stacks"][0]
            status = stack["StackStatus"]
            waiting.now(f"{body['StackName']}: {status}")
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return
            if not status.endswith("_IN_PROGRESS") or status.startswith(("DELETE", "ROLLBACK")):
                raise UserError(f"the stack could not be made: {status}\n{_reasons(clients, body['StackName'])}")
            time.sleep(pause)


def _reasons(clients: Clients, name: str) -> str:
    events = clients.call("cloudformation", "describe_stack_events", StackName=name)["StackEvents"]
    failed = [one for one in events if one["ResourceStatus"].endswith("_FAILED")]
    return show.listed(f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}" for one in failed)


def _check_region(settings: Settings) -> str:
    region = settings.cloud(SageMaker).region
    for role in ("training", "inference"):
        images.image_uri(region, role, "cpu")
    return f"{region} has the images for training and inference"


def _check_bucket(clients: Clients, bucket: S3Bucket) -> list[Finding] | str:
    if not bucket.name:
        return [
            Finding(
                "settings.toml names no bucket", f"{_CREATE}, or name one and: onstage sagemaker upload --create-bucket"
            )
        ]
    bucket.require()
    try:
        found = clients.call("s3", "get_public_access_block", Bucket=bucket.name)["PublicAccessBlockConfiguration"]
        private = all(found.values())
    except UserError as error:
        if errors.denied(error.__cause__):
            return f"{bucket.name} is in {clients.region}; whether it is private cannot be read"
        private = False
    if private:
        return f"{bucket.name} is in {clients.region}, private"
    return [Finding(f"{bucket.name} does not block public access", "block it in the console of S3", warning=True)]


def _check_role(clients: Clients, role: str) -> list[Finding] | str:
    if not role:
        return [
            Finding("settings.toml names no role", f"{_CREATE}, or ask an administrator for one with the policy below")
        ]
    try:
        found = clients.call("iam", "get_role", RoleName=role.rpartition("/")[2])["Role"]
    except NotFoundError as error:
        return [Finding(f"there is no role {role}", _CREATE, str(error).splitlines()[0])]
    except UserError as error:
        if not errors.denied(error.__cause__):
            raise
        return [Finding(f"the role {role} cannot be read", "ask an administrator whether it is there", warning=True)]
    if "sagemaker.amazonaws.com" not in json.dumps(found["AssumeRolePolicyDocument"]):
        fix = "its trust policy has to name sagemaker.amazonaws.com"
        return [Finding(f"SageMaker may not use the role {role}", fix,
                        "ValidationException: Could not assume role")]  # fmt: skip
    return f"SageMaker may use {role}"


def _check_permissions(clients: Clients, settings: Settings, who: dict[str, str]) -> list[Finding] | str:
    arn = who["Arn"]
    if ":assumed-role/" in arn:
        # The policies are the role's.
        arn = arn.replace(":sts:", ":iam:").replace(":assumed-role/", ":role/").rpartition("/")[0]
    denied = []
    for statement in policies.person_policy(settings, who["Account"])["Statement"]:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        if not resources[0].startswith(("arn:", "*")):
            continue
        try:
            answers = clients.pages(
                "iam", "simulate_principal_policy", "EvaluationResults", PolicySourceArn=arn,
                ActionNames=statement["Action"], ResourceArns=resources[:1],
            )  # fmt: skip
            denied += [one["EvalActionName"] for one in answers if one["EvalDecision"] != "allowed"]
        except UserError as error:
            # Who may do everything else is often not allowed to ask.
            reason = str(error).splitlines()[0]
            return [
                Finding(
                    f"your permissions cannot be read: {reason}", "compare them with the policy below", warning=True
                )
            ]
    return (
        [Finding(f"you may not: {', '.join(denied)}", "ask for the policy below")] if denied else "all that is needed"
    )


def _check_quotas(clients: Clients, settings: Settings) -> list[Finding] | str:
    cloud = settings.cloud(SageMaker)
    needed = {f"{cloud.instance_type} for training job usage": cloud.instance_count}
    if not cloud.serverless:
        needed[f"{cloud.endpoint_instance_type} for endpoint usage"] = cloud.endpoint_instance_count
    try:
        quotas = clients.pages("service-quotas", "list_service_quotas", "Quotas", ServiceCode="sagemaker")
        values = {one["QuotaName"]: one["Value"] for one in quotas if one["QuotaName"] in needed}
    except UserError as error:
        return [
            Finding(f"cannot be read: {str(error).splitlines()[0]}", "see Service Quotas in the console", warning=True)
        ]
    low = {name: values[name] for name, count in needed.items() if values.get(name, count) < count}
    return [
        Finding(f"{name}: {value:g}, {needed[name]} needed", "ask for more in the console of Service Quotas",
                "ResourceLimitExceeded: The account-level service limit ...")
        for name, value in low.items()
    ] or ", ".join(f"{name}: {value:g}" for name, value in values.items()) or "not listed"  # fmt: skip
