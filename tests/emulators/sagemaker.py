"""SageMaker that really works: the rehearsal's agent runs its training jobs, and a model server is its endpoints."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from onstage.errors import UserError
from onstage.rehearsal.archives import entries, pack, unpack
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.transform import run_transform_job
from onstage.sagemaker.requests import validate
from onstage.serving.process import ServingProcess
from tests.emulators import sagemaker_tuning
from tests.emulators.cloudwatch import Log, Logs
from tests.emulators.sagemaker_tuning import ACCOUNT, REGION, Job

Answer = tuple[int, dict[str, str], bytes]


class SageMaker:
    """Jobs and endpoints of one region. What of them is moto's, `client` reaches; files are below `folder`."""

    folder: Path

    def __init__(self) -> None:
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        # How jobs end: "run" them, or at once as this status with this reason, or "hold" them until they are stopped.
        self.jobs_end: tuple[str, str] = ("run", "")
        self.endpoints_end: tuple[str, str] = ("InService", "")
        self.answer: Callable[[bytes], bytes] | None = None
        # Whether trials that run end when their search is stopped: they have what others leave of the processor then.
        self.patient = False
        # What training jobs leave that are not to train.
        self.model: Path | None = None
        self.jobs: dict[tuple[str, str], Job] = {}
        self._servers: dict[str, ServingProcess] = {}
        self._threads: list[threading.Thread] = []

    def client(self, service: str, region: str = REGION) -> Any:
        """A client of moto's."""
        raise NotImplementedError

    def end_all(self) -> None:
        """End jobs, endpoints and their servers."""
        for job in self.jobs.values():
            job.stopped.set()
        for thread in self._threads:
            thread.join(60)
        for server in self._servers.values():
            server.stop()

    def carry_out(self, operation: str, body: dict[str, Any]) -> Answer | None:
        """The answer to an operation; None for one that is not done here."""
        if operation.startswith("Create"):
            self.bodies.append((operation, body))
            if problems := validate.problems(operation, body, REGION):
                return refusal("ValidationException", str(problems[0]))
        handler = getattr(self, f"_{operation}", None)
        if handler is None:
            return None
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

    def _ListTrainingJobsForHyperParameterTuningJob(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return sagemaker_tuning.summaries(
            self.jobs["HyperParameterTuningJob", body["HyperParameterTuningJobName"]], body
        )

    def _ListTransformJobs(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("TransformJob", "TransformJobSummaries", body)

    def _ListEndpoints(self, body: dict[str, Any]) -> Any:  # noqa: N802
        return self._list("Endpoint", "Endpoints", body)

    def _DeleteEndpoint(self, body: dict[str, Any]) -> Any:  # noqa: N802
        job = self.jobs.get(("Endpoint", body["EndpointName"]))
        if job is None:
            return refusal("ValidationException", f'Could not find endpoint "{body["EndpointName"]}".')
        if job.facts["EndpointStatus"] == "Creating":
            return refusal("ValidationException", "Cannot update in-progress endpoint")
        del self.jobs["Endpoint", body["EndpointName"]]
        return {}

    def _create(self, kind: str, body: dict[str, Any], run: Callable[[Job], None]) -> Any:
        name = body[f"{kind}Name"]
        if (kind, name) in self.jobs:
            return refusal("ResourceInUse", f"{kind} names must be unique within an AWS account and region")
        job = self._make(kind, body)

        def work() -> None:
            try:
                run(job)
            except Exception as error:  # noqa: BLE001 - a defect of the fake has to be seen, and nobody waits for it
                job.facts |= {f"{kind}Status": "Failed", "FailureReason": f"the fake failed: {error!r}"}

        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        return {f"{kind}Arn": job.facts[f"{kind}Arn"]}

    def _make(self, kind: str, body: dict[str, Any]) -> Job:
        name = body[f"{kind}Name"]
        status = "Creating" if kind == "Endpoint" else "InProgress"
        facts = {**body, f"{kind}Status": status, f"{kind}Arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}",
                 "CreationTime": time.time(), "LastModifiedTime": time.time()}  # fmt: skip
        job = self.jobs[kind, name] = Job(kind, facts)
        return job

    def _describe(self, kind: str, body: dict[str, Any]) -> Any:
        job = self.jobs.get((kind, body[f"{kind}Name"]))
        if job is None:
            if kind == "Endpoint":
                return refusal("ValidationException", f'Could not find endpoint "{body["EndpointName"]}".')
            if kind == "HyperParameterTuningJob":
                return refusal("ResourceNotFound", "Amazon SageMaker can't find a tuning job with that name")
            return refusal("ValidationException", "Requested resource not found.")
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
        if not self._ends_early(job):
            self._run(job, self.model)

    def _run(self, job: Job, model: Path | None, stopped: threading.Event | None = None) -> None:
        """Train to the end, or until `stopped`; or leave this model."""
        name, body = job.facts["TrainingJobName"], job.facts
        log = Logs(self.client("logs"), "/aws/sagemaker/TrainingJobs", name, body["ResourceConfig"]["InstanceCount"])
        folder = self.folder / name
        body["SecondaryStatus"], body["TrainingStartTime"] = "Downloading", time.time()
        store = LocalStore(folder / "store")
        bucket = body["OutputDataConfig"]["S3OutputPath"].split("/")[2]
        self._fetch(bucket, "", folder / "store" / bucket)
        body["SecondaryStatus"] = "Training"
        output = store.path(body["OutputDataConfig"]["S3OutputPath"]) / name
        metrics: dict[str, list[float]] = {}
        if model:
            pack(entries([model])[0], output / "output" / "model.tar.gz")
            ended = ("", "Completed", "Completed")
        else:
            how: dict[str, Any] = {"time_limit": 120, "grace": 1, "on_line": log.add, "background": stopped}
            try:
                result = run_training_job(body, store, folder / "job", **how)
            except UserError:
                if not (stopped and stopped.is_set()):
                    raise
                ended = ("", "Stopped", "Stopped")
            else:
                metrics, secondary = result.metrics, "MaxRuntimeExceeded" if result.limit else result.status
                ended = (result.failure_reason or "", secondary, result.status)
        body["SecondaryStatus"] = "Uploading"
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
                for key, values in metrics.items() if values
            ],
            **dict(zip(("FailureReason", "SecondaryStatus", "TrainingJobStatus"), ended, strict=True)),
        })  # fmt: skip
        shutil.rmtree(folder)

    def _tune(self, job: Job) -> None:
        if not self._ends_early(job):
            stopped = job.stopped if self.patient else None
            sagemaker_tuning.search(job, self._make, lambda trial: self._run(trial, None, stopped))

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
        body, name = job.facts, job.facts["TransformJobName"]
        server, folder = self._model_server(body["ModelName"]), self.folder / name
        bucket, _, key = body["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"][5:].partition("/")
        self._fetch(bucket, key, folder / bucket)
        result = run_transform_job(body, LocalStore(folder), f"{server.url}/invocations")
        for file in result.outputs.values():
            self.client("s3").upload_file(str(file), bucket, file.relative_to(folder / bucket).as_posix())
        if result.refusals:
            log = Log(self.client("logs"), "/aws/sagemaker/TransformJobs", f"{name}/i-1-1700000000/data-log")
            log.add(f"{bucket}/{key}: {result.refusals[0].why}")
            log.flush()
            body["FailureReason"] = result.failure_reason
        body.update({"TransformEndTime": time.time(), "TransformJobStatus": result.status})
        shutil.rmtree(folder)

    def _model_server(self, model: str) -> Any:
        """A server of the model's archive; the same archive is served once."""
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

    def invoke(self, name: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer of an endpoint."""
        job = self.jobs.get(("Endpoint", name))
        if job is None:
            return refusal("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
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


def refusal(code: str, message: str, status: int = 400) -> Answer:
    """An error as SageMaker says it."""
    return status, {"x-amzn-errortype": code}, json.dumps({"__type": code, "message": message}).encode()
