"""AWS on loopback: moto behind a door that can be slow, broken or forbidding, and a SageMaker that really works.

moto does S3, IAM, STS, CloudFormation, CloudWatch Logs and SageMaker's models and configurations. Jobs and endpoints
are done here: a training job is run by the rehearsal's agent with the objects of the bucket, an endpoint is a
model server.
"""

import http.client
import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer
from typing_extensions import Self

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-must-see"}
ACCOUNT = "123456789012"
REGION = "us-east-1"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Fault:
    """Answers requests whose label `pattern` finds: with an error, with nothing (`status` 0), or, `keep`, later."""

    pattern: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int = 1_000_000
    # The request is carried out, and its answer is lost.
    after: bool = False


@dataclass
class Job:
    """A training, tuning or transform job, or an endpoint. `facts` is what describing it says."""

    kind: str
    facts: dict[str, Any]
    stopped: threading.Event = field(default_factory=threading.Event)
    server: Any = None


class FakeAws:
    """Use `with`; clients reach it by `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        # Seconds that requests take whose label the pattern finds.
        self.slow = ("", 0.0)
        # How jobs end: "run" them, or at once as this status with this reason, or "hold" them until they are stopped.
        self.jobs_end: tuple[str, str] = ("run", "")
        self.endpoints_end: tuple[str, str] = ("InService", "")
        self.answer: Callable[[bytes], bytes] | None = None
        self.jobs: dict[tuple[str, str], Job] = {}
        self._servers: dict[str, Any] = {}
        self._threads: list[threading.Thread] = []
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto.start()
        self._moto_port = self._moto.get_host_and_port()[1]
        fake = self

        class Handler(_Handler):
            aws = fake

        self._door = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._door.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._door.server_address[1]}"
        threading.Thread(target=self._door.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs.values():
            job.stopped.set()
        for thread in self._threads:
            thread.join(60)
        for server in self._servers.values():
            server.stop()
        self._door.shutdown()
        self._door.server_close()
        self._moto.stop()

    @property
    def environment(self) -> dict[str, str]:
        """For a client in another process; nothing of this machine's AWS configuration is read."""
        nowhere = str(self.folder / "no-such-file")
        return {
            **KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip

    def client(self, service: str, region: str = REGION) -> Any:
        """A client that goes past the door: no fault, no latency."""
        return boto3.client(
            service, region_name=region, endpoint_url=f"http://127.0.0.1:{self._moto_port}",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def fail(self, pattern: str, code: str = "", message: str = "", status: int = 400, **options: Any) -> None:
        """Let requests whose label matches fail; status 0 breaks the connection."""
        self.faults.append(Fault(pattern, code, message, status, **options))

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """The answer to a request, None to break the connection."""
        target = headers.get("x-amz-target", "")
        action = (
            re.search(rb"Action=(\w+)", body[:2000])
            if "x-www-form-urlencoded" in headers.get("content-type", "")
            else None
        )
        label = target or (action[1].decode() if action else f"{method} {path}")
        self.seen.append(label)
        if self.slow[1] and re.search(self.slow[0], label):
            time.sleep(self.slow[1])
        fault = next((one for one in self.faults if one.times > 0 and re.search(one.pattern, label)), None)
        if fault:
            fault.times -= 1
            if fault.after:
                self._carry_out(method, path, headers, body, target)
            return _error(fault, method, target, action is not None) if fault.status else None
        return self._carry_out(method, path, headers, body, target)

    def _carry_out(self, method: str, path: str, headers: dict[str, str], body: bytes, target: str) -> Answer:
        if target.startswith("SageMaker."):
            return self._sagemaker(target.partition(".")[2], json.loads(body), method, path, headers, body)
        if path.startswith("/endpoints/"):
            return self._invoke(path.split("/")[2], headers, body)
        if target.startswith("AnyScaleFrontendService."):
            self.bodies.append((target.partition(".")[2], json.loads(body)))
            return 200, {}, b"{}"
        return self._forward(method, path, headers, body)

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding", "expect", "content-length"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        kept = {
            name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "date", "server")
        }
        connection.close()
        return answer.status, kept, content

    def _sagemaker(self, operation: str, body: dict[str, Any], *request: Any) -> Answer:
        from onstage.sagemaker.requests import validate

        if operation.startswith("Create"):
            self.bodies.append((operation, body))
            if problems := validate.problems(operation, body, REGION):
                return _refusal("ValidationException", str(problems[0]))
        handler = getattr(self, f"_{operation}", None)
        if handler is None:
            return self._forward(*request)
        answer = handler(body)
        return answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer, default=str).encode())

    def _CreateTrainingJob(self, body: dict[str, Any]) -> Any:  # noqa: N802 - the operation's name
        return self._create("TrainingJob", body, self._train)

    def _CreateHyperParameterTuningJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._create("HyperParameterTuningJob", body, self._tune)

    def _CreateTransformJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._create("TransformJob", body, self._transform)

    def _CreateEndpoint(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._create("Endpoint", body, self._serve)

    def _DescribeTrainingJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._describe("TrainingJob", body)

    def _DescribeHyperParameterTuningJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._describe("HyperParameterTuningJob", body)

    def _DescribeTransformJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._describe("TransformJob", body)

    def _DescribeEndpoint(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._describe("Endpoint", body)

    def _StopTrainingJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._stop("TrainingJob", body)

    def _StopTransformJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._stop("TransformJob", body)

    def _StopHyperParameterTuningJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._stop("HyperParameterTuningJob", body)

    def _ListTrainingJobs(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("TrainingJob", "TrainingJobSummaries", body)

    def _ListHyperParameterTuningJobs(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("HyperParameterTuningJob", "HyperParameterTuningJobSummaries", body)

    def _ListTransformJobs(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("TransformJob", "TransformJobSummaries", body)

    def _ListEndpoints(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("Endpoint", "Endpoints", body)

    def _DeleteEndpoint(self, body: dict[str, Any]) -> Any:  # noqa: N802
        job = self.jobs.get(("Endpoint", body["EndpointName"]))
        if job is None:
            return _refusal("ValidationException", f'Could not find endpoint "{body["EndpointName"]}".')
        if job.facts["EndpointStatus"] == "Creating":
            return _refusal("ValidationException", "Cannot update in-progress endpoint")
        del self.jobs["Endpoint", body["EndpointName"]]
        return {}

    def _create(self, kind: str, body: dict[str, Any], run: Callable[[Job], None]) -> Any:
        name = body[f"{kind}Name"]
        if (kind, name) in self.jobs:
            return _refusal("ResourceInUse", f"{kind} names must be unique within an AWS account and region")
        status = "Creating" if kind == "Endpoint" else "InProgress"
        facts = {**body, f"{kind}Status": status, f"{kind}Arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}",
                 "CreationTime": time.time(), "LastModifiedTime": time.time()}  # fmt: skip
        job = self.jobs[kind, name] = Job(kind, facts)
        thread = threading.Thread(target=run, args=[job], daemon=True)
        self._threads.append(thread)
        thread.start()
        return {f"{kind}Arn": facts[f"{kind}Arn"]}

    def _describe(self, kind: str, body: dict[str, Any]) -> Any:
        job = self.jobs.get((kind, body[f"{kind}Name"]))
        if job is None:
            if kind == "Endpoint":
                return _refusal("ValidationException", f'Could not find endpoint "{body["EndpointName"]}".')
            if kind == "HyperParameterTuningJob":
                return _refusal("ResourceNotFound", "Amazon SageMaker can't find a tuning job with that name")
            return _refusal("ValidationException", "Requested resource not found.")
        return job.facts

    def _stop(self, kind: str, body: dict[str, Any]) -> Any:
        self.jobs[kind, body[f"{kind}Name"]].stopped.set()
        return {}

    def _list(self, kind: str, member: str, body: dict[str, Any]) -> Any:
        wanted = [
            job.facts for (one, name), job in self.jobs.items()
            if one == kind and body.get("NameContains", "") in name
            and body.get("StatusEquals") in (None, job.facts[f"{kind}Status"])
        ]  # fmt: skip
        names = (f"{kind}Name", f"{kind}Arn", f"{kind}Status", "CreationTime", "LastModifiedTime")
        return {member: [{name: facts[name] for name in names} for facts in wanted]}

    def _ends_early(self, job: Job) -> bool:
        how, reason = self.jobs_end
        if how == "run":
            return False
        if how == "hold":
            job.facts["SecondaryStatus"] = "Starting"
            job.stopped.wait(120)
            how = "Stopped"
        job.facts.update({f"{job.kind}Status": how, "SecondaryStatus": how, "FailureReason": reason})
        if job.kind == "TrainingJob":
            job.facts["TrainingEndTime"] = time.time()
        return True

    def _train(self, job: Job) -> None:
        from onstage.rehearsal.store import LocalStore
        from onstage.sagemaker.agent.agent import run_training_job

        if self._ends_early(job):
            return
        name, body = job.facts["TrainingJobName"], job.facts
        log = _Log(self.client("logs"), "/aws/sagemaker/TrainingJobs", f"{name}/algo-1-1700000000")
        folder = self.folder / name
        body["SecondaryStatus"], body["TrainingStartTime"] = "Downloading", time.time()
        store = LocalStore(folder / "store")
        bucket = body["OutputDataConfig"]["S3OutputPath"].split("/")[2]
        self._fetch(bucket, "", folder / "store" / bucket)
        body["SecondaryStatus"] = "Training"
        result = run_training_job(body, store, folder / "job", time_limit=120, grace=1, on_line=log.add)
        body["SecondaryStatus"] = "Uploading"
        output = store.path(body["OutputDataConfig"]["S3OutputPath"]) / name
        for file in output.rglob("*.tar.gz"):
            key = file.relative_to(folder / "store" / bucket).as_posix()
            self.client("s3").upload_file(str(file), bucket, key)
        log.flush()
        uri = f"{body['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
        body.update({
            "ModelArtifacts": {"S3ModelArtifacts": uri},
            "TrainingEndTime": time.time(),
            "FinalMetricDataList": [
                {"MetricName": key, "Value": values[-1], "Timestamp": time.time()}
                for key, values in result.metrics.items() if values
            ],
            "FailureReason": result.failure_reason or "",
            "SecondaryStatus": result.secondary_status,
            "TrainingJobStatus": result.status,
        })  # fmt: skip
        shutil.rmtree(folder)

    def _tune(self, job: Job) -> None:
        from onstage.sagemaker.requests import validate
        from onstage.sagemaker.requests.trials import trials

        body = job.facts
        sent = {key: value for key, value in body.items() if not key.startswith("HyperParameterTuningJobS")}
        trial = trials(sent)[0]
        assert validate.problems("CreateTrainingJob", trial, REGION) == []
        config = body["HyperParameterTuningJobConfig"]
        objective = {"MetricName": config["HyperParameterTuningJobObjective"]["MetricName"], "Value": 0.75}
        body.update({
            "TrainingJobStatusCounters": {"Completed": config["ResourceLimits"]["MaxNumberOfTrainingJobs"]},
            "BestTrainingJob": {
                "TrainingJobName": trial["TrainingJobName"],
                "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:x",
                "TunedHyperParameters": {"hidden_units": trial["HyperParameters"]["hidden_units"]},
                "CreationTime": time.time(), "TrainingJobStatus": "Completed",
                "FinalHyperParameterTuningJobObjectiveMetric": objective,
            },
            "HyperParameterTuningJobStatus": "Completed",
        })  # fmt: skip

    def _serve(self, job: Job) -> None:
        status, reason = self.endpoints_end
        time.sleep(0.5)
        if status == "InService" and self.answer is None:
            job.server = self._model_server(job.facts["EndpointConfigName"])
        if status == "hold":
            job.stopped.wait(120)
            status = "InService"
        variants = [{"VariantName": "AllTraffic", "CurrentInstanceCount": 1}]
        job.facts.update({"FailureReason": reason, "ProductionVariants": variants, "EndpointStatus": status})

    def _transform(self, job: Job) -> None:
        if self._ends_early(job):
            return
        body, s3 = job.facts, self.client("s3")
        server = self._model_server(body["ModelName"])
        bucket, _, key = body["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"][5:].partition("/")
        rows = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        kind = body["TransformInput"]["ContentType"]
        answer = httpx.post(f"{server.url}/invocations", content=rows, headers={"Content-Type": kind}, timeout=60)
        out = body["TransformOutput"]["S3OutputPath"].split("/", 3)[3]
        s3.put_object(Bucket=bucket, Key=f"{out}/{key.rpartition('/')[2]}.out", Body=answer.content)
        body.update({"TransformEndTime": time.time(), "TransformJobStatus": "Completed"})

    def _model_server(self, model: str) -> Any:
        """A server of the model's archive; the same archive is served once."""
        from onstage.rehearsal.archives import unpack
        from onstage.serving.process import ServingProcess

        uri = self.client("sagemaker").describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"]
        if uri not in self._servers:
            bucket, _, key = uri[5:].partition("/")
            folder = self.folder / f"served-{model}"
            folder.mkdir()
            self.client("s3").download_file(bucket, key, str(folder / "model.tar.gz"))
            unpack(folder / "model.tar.gz", folder / "model")
            self._servers[uri] = ServingProcess("sagemaker")
            self._servers[uri].load(folder / "model")
        return self._servers[uri]

    def _invoke(self, name: str, headers: dict[str, str], body: bytes) -> Answer:
        job = self.jobs.get(("Endpoint", name))
        if job is None:
            return _refusal("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if self.answer:
            return 200, {"Content-Type": "application/json"}, self.answer(body)
        answer = httpx.post(
            f"{job.server.url}/invocations", content=body, headers={"Content-Type": headers["content-type"]}, timeout=60
        )
        if answer.status_code != 200:
            content = {"Message": "Received client error", "OriginalStatusCode": 400, "OriginalMessage": answer.text}
            return 424, {"x-amzn-errortype": "ModelError"}, json.dumps(content).encode()
        return 200, {"Content-Type": "application/json"}, answer.content

    def _fetch(self, bucket: str, prefix: str, folder: Path) -> None:
        s3 = self.client("s3")
        for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
            target = folder / one["Key"]
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, one["Key"], str(target))


class _Log:
    """Log events of one stream, sent every so often."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client, self._names = client, {"logGroupName": group, "logStreamName": stream}
        if not client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            client.create_log_group(logGroupName=group)
        client.create_log_stream(**self._names)
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)
        if line.startswith("epoch="):
            self.flush()

    def flush(self) -> None:
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in self._lines if line]
        if events:
            self._client.put_log_events(**self._names, logEvents=events)
        self._lines.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: FakeAws

    def _any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(headers.get("content-length") or 0))
        try:
            answer = self.aws.respond(self.command, self.path, headers, body)
        except Exception as error:  # noqa: BLE001 - a defect of the fake has to be seen
            answer = _refusal("InternalFailure", f"the fake failed: {error!r}", 500)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, kept, content = answer
        self.send_response(status)
        if self.command != "HEAD":
            kept = {name: value for name, value in kept.items() if name.lower() != "content-length"}
            kept["Content-Length"] = str(len(content))
        kept.setdefault("Content-Length", "0")
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def _refusal(code: str, message: str, status: int = 400) -> Answer:
    return status, {"x-amzn-errortype": code}, json.dumps({"__type": code, "message": message}).encode()


def _error(fault: Fault, method: str, target: str, is_query: bool) -> Answer:
    if method == "HEAD":
        return fault.status, {}, b""
    if target or fault.pattern.startswith("POST /endpoints"):
        return _refusal(fault.code, fault.message, fault.status)
    error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    content = f"<ErrorResponse>{error}</ErrorResponse>" if is_query else error
    return fault.status, {"Content-Type": "text/xml"}, content.encode()
