"""Each mistake of a list, planted in a rendered project, is named by the rehearsal of Vertex AI; beside them the
project without a mistake passes, and trains and serves the same model as SageMaker's."""

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from tests.conftest import Bake, Command
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, rehearse

TASK = "src/trainer/task.py"
PREBUILT = change("settings.toml", "\nmachine_type", '\nserving = "prebuilt"\nmachine_type')
SHARED = change("settings.toml", "\nmachine_type", "\ndedicated_endpoint = false\nmachine_type")

SEEN_AT_ONCE = [
    Mistake("an executor image past its end of availability", "images",
            change("settings.toml", "\nmachine_type", '\npackage = "executor"\nmachine_type'),
            ["the prebuilt TensorFlow 2.17 training image has not been available since 2026-07-11",
             'write package = "container"']),
    Mistake("a region that is none", "images", change("settings.toml", "us-central1", "us-centrall1"),
            ["us-centrall1", "us-central1"]),
    Mistake("a machine type that is none", "request", change("settings.toml", "n1-standard-4", "n1-standrad-4"),
            ["CustomJob", "n1-standrad-4", "n1-standard-4"]),
    Mistake("a bucket in another region", "request",
            change("settings.toml", 'bucket = ""\nmachine_type', 'bucket = "data-europe-west4"\nmachine_type'),
            ["europe-west4", "us-central1"]),
    Mistake("syntax that is too new for the image", "code",
            add("src/trainer/extra.py", "type Number = int | float"),
            ["src/trainer/extra.py, line 1", "runs Python 3.11: SyntaxError"]),
    Mistake("a folder without __init__.py", "modules",
            both(add("src/trainer/layers/twice.py", "X = 1"), add(MODEL, "import trainer.layers.twice")),
            ["src/trainer/layers/ has no __init__.py", "add an empty src/trainer/layers/__init__.py",
             "No module named 'trainer.layers'"]),
    Mistake("a package with a hyphen", "modules",
            both(add("src/trainer/my-layers/__init__.py", ""), add("src/trainer/my-layers/twice.py", "X = 1")),
            ["src/trainer/my-layers: 'my-layers' is no name that Python can import", "rename it to my_layers"]),
    Mistake("a module beside the package", "package imports",
            both(add("src/helpers.py", "X = 1"), add(MODEL, "import helpers")),
            ["src/trainer/model.py, line 50: import helpers: src/helpers.py is beside the package",
             "move it to src/trainer", "No module named 'helpers'"]),
    Mistake("a relative import that leaves the package", "package imports",
            both(add("src/helpers.py", "X = 1"), add(MODEL, "from ..helpers import X")),
            ["from ..helpers import: above the package there is nothing",
             "attempted relative import beyond top-level package"]),
    Mistake("a relative import of nothing", "package imports", add(MODEL, "from .helpers import X"),
            ["from .helpers import: there is no src/trainer/helpers.py"]),
    Mistake("an undeclared requirement", "imports", add(MODEL, "import polars"),
            ["import polars: not in the training image 2.21", "add a line to src/requirements.txt: polars"]),
    Mistake("tensorflow as a requirement", "requirements", add("src/requirements.txt", "tensorflow==2.17"),
            ["tensorflow==2.17 would replace the image's own tensorflow"]),
    Mistake("pathlib on a gs:// URI", "gs://",
            add(MODEL, 'import pathlib\n\nBASE = "gs://bucket/data"\nPLACE = pathlib.Path(BASE) / "words.txt"'),
            ["src/trainer/model.py, line 53: pathlib.Path() makes gs:/ of gs://", "tf.io.gfile"]),
    Mistake("pathlib on a variable of the service", "gs://",
            add(MODEL, 'import os\nfrom pathlib import Path\n\n\ndef place():\n'
                       '    return Path(os.environ["AIP_MODEL_DIR"]) / "words.txt"'),
            ["Path() makes gs:/ of gs://"]),
    Mistake("open() on a gs:// URI", "gs://", add(MODEL, 'def words():\n    return open("gs://bucket/words.txt")'),
            ["line 51: open() does not know gs://", "tf.io.gfile.GFile"]),
    Mistake("a write that /gcs cannot do", "gs://",
            add(MODEL, 'def note(text):\n    with open("/gcs/bucket/log.txt", "a") as file:\n        file.write(text)'),
            ["line 51: open() with mode 'a' changes a file in place, and /gcs cannot", "copy it when it is done"]),
    Mistake("a renaming below /gcs", "gs://",
            add(MODEL, 'import os\n\n\ndef keep(model):\n'
                       '    place = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")\n'
                       '    os.replace(place + "new", place + "old")'),
            ["os.replace() changes it, and /gcs cannot"]),
]  # fmt: skip

SEEN_IN_THE_PACKAGE = [
    Mistake("package data that MANIFEST.in does not name", "package",
            both(add("src/trainer/words.txt", "a\nb"),
                 add(MODEL, 'from importlib import resources\n\n\ndef words():\n'
                            '    return resources.files("trainer").joinpath("words.txt").read_text()')),
            ["src/trainer/words.txt is not in the source distribution",
             "add a line to MANIFEST.in: include src/trainer/words.txt"]),
    Mistake("tensorflow in install_requires", "package",
            change("setup.py", "for line in lines if", 'for line in [*lines, "tensorflow"] if'),
            ["install_requires has tensorflow, which would replace the image's own tensorflow"]),
    Mistake("a requirement that setup.py does not declare", "package",
            both(add("src/requirements.txt", "polars>=1"), change("setup.py", "install_requires=[", "extras=[")),
            ["install_requires lacks polars"]),
    Mistake("python_requires above the image's Python", "package",
            change("setup.py", 'python_requires=">=3.10"', 'python_requires=">=3.12"'),
            ["python_requires is >=3.12, and the training image 2.21 runs Python 3.11",
             "requires a different Python"]),
    Mistake("a name that a library has", "package", change("setup.py", '"iris_classifier_trainer"', '"absl-py"'),
            ["setup.py: name is absl-py, as that of a library in the training image"]),
    Mistake("a setup.py that finds no package", "package",
            change("setup.py", 'include=["trainer", "trainer.*"]', 'include=["trainr"]'),
            ["holds no package trainer"]),
    Mistake("a setup.py that does not run", "package", add("setup.py", "import nothing_there"),
            ["setup.py builds no source distribution: ModuleNotFoundError: No module named 'nothing_there'"]),
]  # fmt: skip

SEEN_IN_THE_JOB = [
    Mistake("pathlib where nobody sees it", "train",
            change(TASK, "    job = make_run", "    import os, pathlib\n"
                   "    names = dict(os.environ)\n"
                   "    pathlib.Path(names['AIP_MODEL' + '_DIR']).joinpath('words.txt').read_text()\n"
                   "    job = make_run"),
            ["workerpool0-0: FileNotFoundError: [Errno 2]",
             "The replica workerpool0-0 exited with a non-zero status of 1",
             "FileNotFoundError: [Errno 2] No such file or directory: 'gs:/rehearsal-bucket",
             "keep gs:// a text and use tf.io.gfile"]),
    Mistake("a program that never ends", "train",
            both(change("settings.toml", "time_limit = 300", "time_limit = 5"),
                 change(TASK, "    job = make_run", "    while True:\n        pass\n    job = make_run")),
            ["the program had not ended when the rehearsal's time_limit was over", "3600s"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def plain_project(bake: Bake) -> Path:
    return bake(platform="vertex")


@pytest.fixture
def broken(plain_project: Path, tmp_path: Path) -> Path:
    shutil.copytree(plain_project, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def failed(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if check["status"] == "failed"}


@pytest.mark.parametrize("mistake", SEEN_AT_ONCE, ids=[mistake.name for mistake in SEEN_AT_ONCE])
def test_a_mistake_that_needs_no_training_is_named(mistake: Mistake, broken: Path, command: Command) -> None:
    report, done = rehearse(mistake, broken, command, "vertex")
    assert failed(report) == {mistake.check}, done.stdout
    assert "package" not in [check["name"] for check in report["checks"]]


@pytest.mark.parametrize("mistake", SEEN_IN_THE_PACKAGE, ids=[mistake.name for mistake in SEEN_IN_THE_PACKAGE])
def test_a_mistake_that_only_a_clean_installation_shows_is_named(
    mistake: Mistake, broken: Path, command: Command
) -> None:
    report, done = rehearse(mistake, broken, command, "vertex")
    assert failed(report) == {"package"}, done.stdout
    assert "train" not in [check["name"] for check in report["checks"]]


@pytest.mark.parametrize("mistake", SEEN_IN_THE_JOB, ids=[mistake.name for mistake in SEEN_IN_THE_JOB])
def test_a_mistake_that_only_the_job_shows_is_named(mistake: Mistake, broken: Path, command: Command) -> None:
    report, done = rehearse(mistake, broken, command, "vertex")
    assert mistake.check in failed(report), done.stdout


def test_a_project_for_the_prebuilt_container_passes(broken: Path, command: Command) -> None:
    PREBUILT(broken)
    before = (broken / "data/train/iris.csv").read_bytes()
    done = command(sys.executable, "-m", "rehearse", "vertex", "--json", broken / "report.json", cwd=broken)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((broken / "report.json").read_text(encoding="utf-8"))
    warned = {check["name"] for check in report["checks"] if check["status"] != "passed"}
    # The image of TensorFlow 2.15 is no longer patched.
    assert warned == {"images"}, done.stdout
    assert "saved_model.pb: 5 files" in next(check["detail"] for check in report["checks"] if check["name"] == "model")
    assert (broken / "data/train/iris.csv").read_bytes() == before
    assert not [path.name for path in broken.rglob("*") if path.suffix in (".egg-info", ".gz") or path.name == "gs:"]


def test_both_platforms_train_the_same_model_and_answer_alike(bake: Bake, tmp_path: Path, command: Command) -> None:
    shutil.copytree(bake(platform="both"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    words = ["-m", "rehearse", "--json", tmp_path / "report.json"]
    done = command(sys.executable, *words, cwd=tmp_path / "project")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    details = {(check["platform"], check["name"]): check["detail"] for check in report["checks"]}
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert "variables" in details["all", "same weights"] and details["all", "same answers"] == "3 rows"
    names = [name for _, name in details]
    assert names.count("data") == names.count("model.py") == names.count("paths") == 1
    assert names.count("train") == names.count("imports") == 2
    assert f"{len(report['checks'])} checks" in done.stdout
    # Nothing but the report: no folder of a build, no model.
    assert not [path for path in (tmp_path / "project").rglob("*") if path.suffix in (".egg-info", ".pb")]


HALVE = """\
import tensorflow as tf


class Half(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="pair")])
    def serve(self, pair):
        return {"half": pair[:, 0] / 2.0}


half = Half()
tf.saved_model.save(half, FOLDER, signatures={"serving_default": half.serve})
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    folder = tmp_path_factory.mktemp("halves")
    script = HALVE.replace("FOLDER", repr(str(folder / "1")))
    done = command(sys.executable, "-c", script, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "1"


class Jobs:
    """Jobs whose containers are shell scripts, and what the rehearsal says of them."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model

    def __call__(self, script: str, **options: Any) -> dict[str, str]:
        """The verdicts and texts of every check; in `script`, MODEL and COPY are the two folders."""
        from onstage.rehearsal.store import LocalStore
        from onstage.report import Report
        from onstage.vertex.agent.job import Task, rehearse_job

        place = "/gcs/bucket/job/model"
        script = f"set -e; mkdir -p {place}; " + script.replace("MODEL", place).replace("COPY", f"cp -r {self.model}")
        (self.folder / "store" / "bucket").mkdir(parents=True)
        container = {"imageUri": "image", "command": ["bash", "-c", script]}
        spec = {"workerPoolSpecs": [{"containerSpec": container}], "baseOutputDirectory": OUTPUT}
        chosen = {"container": TENSORFLOW_SERVING, "dedicated": True, "metrics": ["loss"], "objective": "loss"}
        task = Task({"displayName": "job", "jobSpec": spec}, **{**chosen, "time_limit": 30, **options})
        with ExitStack() as stack:
            report = stack.enter_context(Report(Console(quiet=True)))
            rehearse_job(report, task, LocalStore(self.folder / "store"), self.folder / "run", stack)
        return {check.name: f"{check.verdict}: {check.text}" for check in report.checks}


OUTPUT = {"outputUriPrefix": "gs://bucket/job"}
TENSORFLOW_SERVING = {"imageUri": "serving", "predictRoute": "/v1/models/m:predict", "healthRoute": "/v1/models/m",
                      "args": ["--model_name=m"]}  # fmt: skip
GOOGLES = {"imageUri": "prebuilt"}


@pytest.fixture
def jobs(project: Path, tmp_path: Path, model: Path) -> Jobs:
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


def test_a_trial_that_reports_nothing_is_named_and_one_that_does_passes(jobs: Jobs) -> None:
    line = json.dumps({"trial": "1", "global_step": "1", "loss": "0.5"})
    report = f"mkdir -p ${{CLOUD_ML_HP_METRIC_FILE%/*}}; echo '{line}' > $CLOUD_ML_HP_METRIC_FILE; exit 0"
    script = f"echo loss=0.5; if [ $CLOUD_ML_TRIAL_ID = 2 ]; then {report}; fi"
    assert "nothing was reported for tuning" in jobs(script, trial="1")["metrics"]
    shutil.rmtree(jobs.folder / "store"), shutil.rmtree(jobs.folder / "run")
    assert jobs(script, trial="2")["metrics"] == "passed: loss=0.5"


def test_the_endpoint_takes_what_the_api_lets_through(project: Path, model: Path) -> None:
    from onstage.serving.process import ServingProcess

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


def test_a_prebuilt_container_has_the_routes_of_its_endpoint(project: Path, model: Path) -> None:
    from onstage.serving.process import ServingProcess

    routes = {"AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2"}
    routes["AIP_PREDICT_ROUTE"] = f"{routes['AIP_HEALTH_ROUTE']}:predict"
    with ServingProcess("vertex", environment=routes) as server:
        server.load_answering({"model": {1: model}})
        assert httpx.get(f"{server.url}{routes['AIP_HEALTH_ROUTE']}").status_code == 200
        answer = httpx.post(f"{server.url}{routes['AIP_PREDICT_ROUTE']}", json={"instances": [[4, 1]]})
        assert answer.json() == {"predictions": [2.0]}


GOOD_CODE = """
import os
import tempfile
from pathlib import Path

import tensorflow as tf

HERE = Path(__file__).parent
NAME = "gs://bucket/words.txt"
LINES = tf.io.gfile.GFile(NAME).read()
FILES = [Path(name).name for name in tf.io.gfile.listdir("gs://bucket")]


def note(text):
    with open("/gcs/bucket/log.txt", "w") as file:
        file.write(text.replace("a", "b"))
    with open(os.path.join(tempfile.gettempdir(), "log.txt"), "a") as file:
        file.write(text)
    return os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
"""


def test_code_that_uses_cloud_storage_as_it_is_meant_is_not_blamed(broken: Path, command: Command) -> None:
    (broken / "src/trainer/extra.py").write_text(GOOD_CODE, encoding="utf-8")
    script = (
        "from rehearse.source_checks import Source; from rehearse.vertex.gcs_checks import check_gcs; "
        "from rehearse.vertex.package_checks import check_imports_inside, check_modules; code = Source(); "
        "print(check_gcs(code), check_modules(code), check_imports_inside(code))"
    )
    done = command(sys.executable, "-c", f"import cloud; {script}", cwd=broken)
    assert done.stdout.strip() == "[] [] []", done.stdout + done.stderr
