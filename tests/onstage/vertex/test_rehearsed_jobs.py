"""What a job leaves, and the endpoint of its model, are judged as Vertex AI would; the jobs are shell scripts."""

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from onstage.project import Project
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Report
from onstage.serving.process import ServingProcess
from onstage.settings import load
from onstage.vertex.agent import rehearsal
from onstage.vertex.agent.job import rehearse_job
from onstage.vertex.agent.task import Task
from onstage.vertex_section import Vertex


class Jobs:
    """Jobs whose containers are shell scripts, and what the rehearsal says of them."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model

    def __call__(self, script: str, **options: Any) -> dict[str, str]:
        """The verdicts and texts of every check; in `script`, MODEL and COPY are the two folders."""
        place = "/gcs/bucket/job/model"
        script = f"set -e; mkdir -p {place}; " + script.replace("MODEL", place).replace("COPY", f"cp -r {self.model}")
        (self.folder / "store" / "bucket").mkdir(parents=True)
        container = {"imageUri": "image", "command": ["bash", "-c", script]}
        spec = {"workerPoolSpecs": [{"containerSpec": container}], "baseOutputDirectory": OUTPUT}
        chosen = {"container": TENSORFLOW_SERVING, "dedicated": True, "metrics": ["loss"], "objective": "loss"}
        limit = options.pop("time_limit", 30)
        task = Task({"displayName": "job", "jobSpec": spec}, **{**chosen, **options})
        terms = Terms(limit, (self.folder, Path.home()), "onstage rehearse vertex")
        with ExitStack() as stack:
            report = stack.enter_context(Report(Console(quiet=True)))
            rehearse_job(report, task, LocalStore(self.folder / "store"), self.folder / "run", terms, stack)
        return {check.name: f"{check.verdict}: {check.text}" for check in report.checks}


OUTPUT = {"outputUriPrefix": "gs://bucket/job"}
TENSORFLOW_SERVING = {"imageUri": "serving", "predictRoute": "/v1/models/m:predict", "healthRoute": "/v1/models/m",
                      "args": ["--model_name=m"]}  # fmt: skip
GOOGLES = {"imageUri": "prebuilt"}


@pytest.fixture
def model(exports: dict[str, Path]) -> Path:
    return exports["half"] / "1"


@pytest.fixture
def jobs(tmp_path: Path, model: Path) -> Jobs:
    return Jobs(tmp_path, model)


WRONG_MODELS = {
    "flat": ("COPY/. MODEL", TENSORFLOW_SERVING,
             "TensorFlow Serving wants a numbered folder, such as 1/saved_model.pb, in AIP_MODEL_DIR",
             "the job left saved_model.pb", "No versions of servable model found under base path"),
    "versioned": ("COPY MODEL/1", GOOGLES, "the prebuilt container wants saved_model.pb itself in AIP_MODEL_DIR",
                  "the job left 1/saved_model.pb", "--model-layout=flat"),
    "none": ("touch model.keras", TENSORFLOW_SERVING, "the job succeeded without a model in AIP_MODEL_DIR",
             "it wrote workerpool0-0/work/model.keras", "export to os.environ['AIP_MODEL_DIR']"),
    "in no bucket": ("mkdir -p gs:/bucket/job; COPY MODEL/1", TENSORFLOW_SERVING,
                     "the job wrote into workerpool0-0/work/gs:", "pathlib and os.path make gs:/ of it"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_MODELS)
def test_a_model_that_the_chosen_container_would_not_find_is_named(jobs: Jobs, case: str) -> None:
    script, container, *said = WRONG_MODELS[case]
    found = jobs(f"echo loss=1; {script}", container=container)
    assert found["model"].startswith("FAILED") and "load" not in found
    assert all(words in found["model"] for words in said), found["model"]


def test_a_program_that_ends_itself_before_its_training_is_said_as_that(jobs: Jobs) -> None:
    found = jobs("exit 0")
    assert found["train"].startswith("FAILED: the program ended with exit code 0 before its training was over")
    assert "JOB_STATE_SUCCEEDED all the same, without a model" in found["train"]
    assert "model" not in found


@pytest.mark.long
def test_what_does_not_belong_to_a_model_and_a_silent_log_are_named(jobs: Jobs) -> None:
    rows = {"request": {"instances": [[4.0, 1.0]] * 150000}, "response": {"predictions": [2.0] * 150000}}
    (jobs.folder / "example.json").write_text(json.dumps(rows), encoding="utf-8")
    script = (
        "COPY MODEL/1; mkdir MODEL/1/assets.extra MODEL/checkpoints; touch MODEL/checkpoints/ckpt-1.index; "
        f"cp {jobs.folder}/example.json MODEL/1/assets.extra"
    )
    found = jobs(script, dedicated=False, trial="1")
    assert "AIP_MODEL_DIR holds what is no model: checkpoints/ckpt-1.index" in found["artifact"]
    assert "write checkpoints to AIP_CHECKPOINT_DIR" in found["artifact"]
    assert "no line of the log has the metric loss" in found["metrics"]
    assert "a request of 150000 rows has 1.7 MB; a shared endpoint takes 1.5 MB" in found["limits"]
    assert "dedicated_endpoint = true" in found["limits"]
    assert "Request payload size exceeds the limit: 1572864 bytes." in found["predictions"]
    assert found["load"] == "passed: " and found["health"].startswith("passed")


PREBUILT, CONTAINER = {"serving": "prebuilt"}, {"serving": "container"}
TOO_OLD = {"serving_image": "us-docker.pkg.dev/mine/tensorflow/serving:2.13.0"}
SERVERS = [
    ("policy", PREBUILT, ("FAILED: the model's graph uses bad_indices_policy='IGNORE' of GatherNd (GatherNd), which "
     "TensorFlow has from 2.17 on; the server, us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest, has 2.15\n"
     "the endpoint is in service and leaves bad_indices_policy out: its answers are others, or requests fail\n"
     '-> write serving = "container" in [vertex] of settings.toml: TensorFlow 2.20 serves then; or replace it in that '
     "place by what TensorFlow 2.15 has")),
    ("policy", CONTAINER, "passed: TensorFlow 2.20, which will serve, has what the model uses"),
    ("default_policy", PREBUILT, "passed: TensorFlow 2.15, which will serve, has what the model uses"),
    ("gradient", PREBUILT, ("passed: TensorFlow 2.15, which will serve, has what the model uses; it leaves out "
     "grad_a=True of MatMul, which changes no answer")),
    ("webp", None, ("warning: the layer reader uses the operation DecodeWebP (reader_1/cond/DecodeWebP), which "
     "TensorFlow has from 2.20 on; the request names no server\nwith an older one: the endpoint is in service, and "
     "requests fail: Op type not registered 'DecodeWebP' in binary\n-> serve it with TensorFlow 2.20 or newer")),
    ("default_policy", TOO_OLD, ("warning: the model is of TensorFlow 2.21, its server of 2.13; of what versions "
     "added, those up to 2.15 and from 2.21 on are not known here\n-> ask the endpoint before you rely on it")),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("name", "how", "said"), SERVERS)
def test_what_the_servers_version_has_not_is_named(
    name: str, how: dict[str, str] | None, said: str, exports: dict[str, Path], project: Path, tmp_path: Path
) -> None:
    server = None
    if how:
        given = rehearsal.filled(load(Project(project)))
        changed = given.cloud(Vertex).model_copy(update=how)
        server = rehearsal.server_of(given.model_copy(update={"vertex": changed}))
    found = Jobs(tmp_path, exports[name] / "1")("echo loss=1; COPY MODEL/1", server=server)
    assert said in found["operations"]


def test_a_trial_that_reports_nothing_is_named_and_one_that_does_passes(jobs: Jobs) -> None:
    line = json.dumps({"trial": "1", "global_step": "1", "loss": "0.5"})
    report = f"mkdir -p ${{CLOUD_ML_HP_METRIC_FILE%/*}}; echo '{line}' > $CLOUD_ML_HP_METRIC_FILE; exit 0"
    script = f"echo loss=0.5; if [ $CLOUD_ML_TRIAL_ID = 2 ]; then {report}; fi"
    assert "nothing was reported for tuning" in jobs(script, trial="1")["metrics"]
    shutil.rmtree(jobs.folder / "store"), shutil.rmtree(jobs.folder / "run")
    assert jobs(script, trial="2")["metrics"] == "passed: loss=0.5, as the trainer reported"
    shutil.rmtree(jobs.folder / "store"), shutil.rmtree(jobs.folder / "run")
    found = jobs(script.replace("echo loss=0.5", "echo loss=0.7"), trial="2")["metrics"]
    assert "loss is 0.7 in the log, and the trainer reported 0.5" in found


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("mkdir $PWD/x", "no checkpoint is left in AIP_CHECKPOINT_DIR: all that was trained is lost"),
        ("C=/gcs/bucket/job/checkpoints; mkdir -p $C; echo 'model_checkpoint_path: \"ckpt-2\"' > $C/checkpoint",
         "the checkpoint ckpt-2 is left in AIP_CHECKPOINT_DIR"),
    ],
)  # fmt: skip
def test_a_job_that_is_stopped_says_which_checkpoint_it_leaves(jobs: Jobs, before: str, left: str) -> None:
    assert left in jobs(f"{before}; sleep 60", time_limit=1)["train"]


@pytest.mark.parametrize("code", ["open('gs://b/x')", "__import__('numpy').loadtxt('gs://b/x.csv')"])
def test_a_place_that_the_job_could_not_open_is_to_be_opened_with_tensorflow(jobs: Jobs, code: str) -> None:
    found = jobs(f'{sys.executable} -c "{code}"')["train"]
    assert "FileNotFoundError" in found and "open it with tf.io.gfile.GFile(place, 'rb'), which knows gs://" in found


def test_places_of_a_job_are_named_as_in_the_cloud(jobs: Jobs) -> None:
    found = jobs("ls MODEL $PWD/one $HOME/two; exit 3")["train"]
    assert "'/one'" in found and "'/home/two'" in found
    assert str(jobs.folder) not in found, found
    shutil.rmtree(jobs.folder / "store"), shutil.rmtree(jobs.folder / "run")
    found = jobs("ls MODEL/none; exit 3")["train"]
    assert "'/gcs/bucket/job/model/none'" in found and str(jobs.folder) not in found, found


@pytest.mark.long
def test_the_endpoint_takes_what_the_api_lets_through(model: Path) -> None:
    routes = {"AIP_HEALTH_ROUTE": "/v1/models/half", "AIP_PREDICT_ROUTE": "/v1/models/half:predict"}
    with ServingProcess("vertex", environment={**routes, "PAYLOAD_LIMIT": "200"}) as server:
        assert httpx.get(f"{server.url}/v1/models/half").status_code == 404
        server.load_answering({"half": {1: model}})
        assert httpx.get(f"{server.url}/v1/models/half").status_code == 200

        def ask(body: str) -> tuple[int, Any]:
            response = httpx.post(f"{server.url}/v1/models/half:predict", content=body)
            return response.status_code, response.json()

        assert ask('{"instances": [[4, 1]]}') == (200, {"predictions": [2.0]})
        assert ask('{"instances": [[4, 1]], "parameters": {"p": 1}}')[0] == 200
        for body, said in {
            '{"inputs": [[4, 1]]}': 'Unknown name "inputs": Cannot find field.',
            '{"instances": [[4, 1]], "signature_name": "x"}': 'Unknown name "signature_name"',
            '{"instances": [': "Invalid JSON payload received.",
            '{"instances": [[4, 1]]}' + " " * 200: "Request payload size exceeds the limit: 200 bytes.",
            '{"instances": [' + ",".join(["[9,9]"] * 30) + "]}": None,
        }.items():
            status, answer = ask(body)
            if said is None:
                assert status == 200
            else:
                assert status == 400 and said in answer["error"]["message"]
                assert answer["error"]["status"] == "INVALID_ARGUMENT"
        assert httpx.get(f"{server.url}/ping").status_code == 404
        assert httpx.post(f"{server.url}/v1/models/half").status_code == 404
        assert server.weights(model) == []


@pytest.mark.long
def test_a_prebuilt_container_has_the_routes_of_its_endpoint(model: Path) -> None:
    routes = {"AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2"}
    routes["AIP_PREDICT_ROUTE"] = f"{routes['AIP_HEALTH_ROUTE']}:predict"
    with ServingProcess("vertex", environment=routes) as server:
        server.load_answering({"model": {1: model}})
        assert httpx.get(f"{server.url}{routes['AIP_HEALTH_ROUTE']}").status_code == 200
        answer = httpx.post(f"{server.url}{routes['AIP_PREDICT_ROUTE']}", json={"instances": [[4, 1]]})
        assert answer.json() == {"predictions": [2.0]}
