"""Both entry points only translate: as local processes with their platform's variables they train the same model."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Command
from tests.template.conftest import weights

FLAGS = ["--batch-size", "16.0", "--epochs", "3", "--learning_rate", "0.02", "--seed=4"]


@pytest.fixture(scope="module")
def sagemaker_job(project: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> tuple[Path, Any]:
    """A relocated /opt/ml after a run, and the finished process."""
    base = tmp_path_factory.mktemp("opt_ml")
    done = command(
        sys.executable, project / "src" / "sagemaker_entry.py", *FLAGS, "--model_dir", "s3://bucket/job/model",
        cwd=tmp_path_factory.mktemp("empty"), environment=sagemaker_environment(project, base),
    )  # fmt: skip
    return base, done


def sagemaker_environment(project: Path, base: Path) -> dict[str, str]:
    return {
        "SAGEMAKER_BASE_DIR": str(base),
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_CHANNEL_TRAIN": str(project / "data" / "train"),
        "SM_CHANNEL_EVAL": str(project / "data" / "eval"),
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_NUM_GPUS": "0",
    }


@pytest.fixture(scope="module")
def vertex_job(project: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> tuple[Path, Any]:
    """A baseOutputDirectory after a run, and the finished process."""
    base = tmp_path_factory.mktemp("base")
    done = command(
        sys.executable, "-m", "trainer.task", *FLAGS, "--train-data", project / "data" / "train",
        "--eval-data", project / "data" / "eval" / "*.csv", "--job-dir", "", "--model_dir", "None/job/model",
        cwd=tmp_path_factory.mktemp("empty"),
        environment={
            "PYTHONPATH": str(project / "src"),
            "AIP_MODEL_DIR": f"{base}/model/",
            "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/",
            "AIP_TENSORBOARD_LOG_DIR": f"{base}/logs/",
            "CLUSTER_SPEC": json.dumps({"cluster": {"workerpool0": ["host:2222"]}, "environment": "cloud"}),
            "CLOUD_ML_PROJECT_ID": "1234",
            "CLOUD_ML_TRIAL_ID": "3",
            "CLOUD_ML_HP_METRIC_FILE": str(base / "hypertune" / "output.metrics"),
        },
    )  # fmt: skip
    return base, done


@pytest.mark.long
def test_sagemaker_finds_everything_where_it_collects_it(sagemaker_job: tuple[Path, Any]) -> None:
    base, done = sagemaker_job
    assert done.returncode == 0, done.stderr
    assert (base / "model" / "model" / "1" / "saved_model.pb").is_file()
    assert {path.name for path in (base / "model").iterdir()} == {"model"}
    assert list((base / "checkpoints").glob("ckpt-*.index"))
    assert list((base / "output" / "data" / "tensorboard").glob("events.*"))
    assert not (base / "output" / "failure").exists()
    assert "epoch=3 loss=" in done.stdout


@pytest.mark.long
def test_vertex_finds_everything_where_it_collects_it(vertex_job: tuple[Path, Any]) -> None:
    base, done = vertex_job
    assert done.returncode == 0, done.stderr
    assert (base / "model" / "1" / "saved_model.pb").is_file()
    assert list((base / "checkpoints").glob("ckpt-*.index"))
    assert list((base / "logs").glob("events.*"))
    lines = (base / "hypertune" / "output.metrics").read_text().splitlines()
    assert [json.loads(line)["global_step"] for line in lines] == ["1", "2", "3"]
    assert json.loads(lines[-1])["trial"] == "3"


@pytest.mark.long
def test_both_platforms_train_the_same_weights(sagemaker_job: tuple[Path, Any], vertex_job: tuple[Path, Any]) -> None:
    left, right = weights(f"{sagemaker_job[0]}/model/model/1"), weights(f"{vertex_job[0]}/model/1")
    assert len(left) >= 4
    assert left == right


@pytest.mark.long
def test_a_failing_sagemaker_job_leaves_its_reason_and_traceback(
    project: Path, bake: Bake, tmp_path: Path, command: Command
) -> None:
    base = tmp_path / "ml"
    environment = sagemaker_environment(project, base) | {"SM_CHANNEL_TRAIN": str(tmp_path / "nowhere")}
    done = command(sys.executable, project / "src" / "sagemaker_entry.py", cwd=tmp_path, environment=environment)
    assert done.returncode == 1
    reason = (base / "output" / "failure").read_text(encoding="utf-8")
    assert reason.startswith(f"there is no data at {tmp_path / 'nowhere'}\n")
    assert "Traceback (most recent call last)" in reason
    assert "sagemaker_entry.py" in reason
    assert f"error: there is no data at {tmp_path / 'nowhere'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (base / "model").exists()


def test_an_unknown_flag_fails_the_job_with_the_list_of_known_ones(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import sagemaker_entry

    environment, failure = sagemaker_environment(project, tmp_path / "ml"), tmp_path / "ml" / "output" / "failure"
    assert sagemaker_entry.main(lambda: sagemaker_entry.run(["--epoch", "3"], environment), failure) == 1
    said = capsys.readouterr().err
    assert "unknown flag --epoch; did you mean --epochs? Known flags: --epochs, --batch-size, " in said
    assert failure.read_text(encoding="utf-8").startswith("unknown flag --epoch;")


@pytest.fixture
def sagemaker_run(project: Path) -> Callable[..., Any]:
    import sagemaker_entry

    return sagemaker_entry.make_run


@pytest.fixture
def vertex_run(project: Path) -> Callable[..., Any]:
    from trainer import task

    return task.make_run


CHANNELS = {"SM_CHANNEL_TRAIN": "/opt/ml/input/data/train", "SM_CHANNEL_EVAL": "/opt/ml/input/data/eval"}
DATA = ["--train-data", "gs://b/train", "--eval-data", "gs://b/eval"]


@pytest.mark.parametrize("model_dir", ["s3://bucket/model", "None/job/model", "/opt/ml/model", ""])
def test_sagemakers_model_dir_flag_moves_nothing(model_dir: str, sagemaker_run: Callable[..., Any]) -> None:
    run = sagemaker_run(["--model_dir", model_dir], CHANNELS)
    assert run.export_dir == "/opt/ml/model/model/1"
    assert run.checkpoint_dir == "/opt/ml/checkpoints"
    assert run.log_dir == "/opt/ml/output/data/tensorboard"
    assert (run.train_data, run.eval_data) == ("/opt/ml/input/data/train", "/opt/ml/input/data/eval")


def test_what_sagemaker_says_in_sm_hps_wins_over_a_command_line_that_a_shell_has_read(
    sagemaker_run: Callable[..., Any],
) -> None:
    # As sagemaker-training 5.1.1 leaves `--dropout  --seed 7` of an empty value.
    told = {"dropout": 0.25, "seed": 7, "learning_rate": "1e-3", "model_dir": "/opt/ml/model", "epochs": 3.0}
    run = sagemaker_run(["--dropout", "--seed", "7"], {**CHANNELS, "SM_HPS": json.dumps(told)})
    chosen = run.hyperparameters
    assert (chosen.dropout, chosen.seed, chosen.learning_rate, chosen.epochs) == (0.25, 7, 0.001, 3)
    assert sagemaker_run(["--seed", "8"], {**CHANNELS, "SM_HPS": ""}).hyperparameters.seed == 8


def test_a_sagemaker_job_without_a_channel_or_a_name_of_its_own_is_refused(
    project: Path, sagemaker_run: Callable[..., Any]
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match="the job has no input channel 'eval': SM_CHANNEL_EVAL is not set"):
        sagemaker_run([], {"SM_CHANNEL_TRAIN": "/data"})
    with pytest.raises(UserError, match="SM_CURRENT_HOST is None, which is not one of SM_HOSTS: algo-1, algo-2"):
        sagemaker_run([], CHANNELS | {"SM_HOSTS": '["algo-1", "algo-2"]'})


def test_both_are_told_how_often_to_save(sagemaker_run: Callable[..., Any], vertex_run: Callable[..., Any]) -> None:
    for told, seconds in (({}, 60), ({"CHECKPOINT_SECONDS": "0"}, 0), ({"CHECKPOINT_SECONDS": "7.5"}, 7.5)):
        assert sagemaker_run([], CHANNELS | told).checkpoint_seconds == seconds
        assert vertex_run([*DATA, "--job-dir", "x"], told).checkpoint_seconds == seconds


def test_vertex_locations_come_from_the_service_else_from_job_dir(vertex_run: Callable[..., Any]) -> None:
    service = {
        "AIP_MODEL_DIR": "gs://b/base/model/",
        "AIP_CHECKPOINT_DIR": "gs://b/base/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://b/base/logs/",
    }
    run = vertex_run([*DATA, "--job-dir", "gs://b/other", "--model-dir", "None/job/model"], service)
    assert (run.export_dir, run.checkpoint_dir, run.log_dir) == (
        "gs://b/base/model/1",
        "gs://b/base/checkpoints",
        "gs://b/base/logs",
    )
    run = vertex_run([*DATA, "--job-dir", "gs://b/other/"], {})
    assert (run.export_dir, run.checkpoint_dir) == ("gs://b/other/model/1", "gs://b/other/checkpoints")
    run = vertex_run([*DATA, "--job-dir", "gs://b/other", "--model-dir", "gs://b/m"], {})
    assert run.export_dir == "gs://b/m/1"
    assert run.metric_file is None
    assert (
        vertex_run([*DATA, "--job-dir", "x"], {"CLOUD_ML_TRIAL_ID": "2"}).metric_file == "/tmp/hypertune/output.metrics"
    )


def test_vertex_prebuilt_containers_get_the_model_without_a_version_folder(vertex_run: Callable[..., Any]) -> None:
    service = {
        "AIP_MODEL_DIR": "gs://b/model/",
        "AIP_CHECKPOINT_DIR": "gs://b/c/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://b/l/",
    }
    assert vertex_run([*DATA, "--model-layout", "flat"], service).export_dir == "gs://b/model"
    assert vertex_run([*DATA, "--model-layout", "versioned"], service).export_dir == "gs://b/model/1"


def test_a_vertex_job_that_cannot_work_is_refused(project: Path, vertex_run: Callable[..., Any]) -> None:
    from trainer.run import UserError

    server = json.dumps({"cluster": {"chief": ["a:2222"], "ps": ["b:2222"]}, "task": {"type": "chief", "index": 0}})
    for argv, environment, message in (
        ([], {}, "--train-data is missing: the training data: a CSV file, a folder of them"),
        (["--train-data", "x"], {}, "--eval-data is missing"),
        (DATA, {}, "nobody said where the model goes: set baseOutputDirectory in the job, or --job-dir FOLDER"),
        ([*DATA, "--job-dir", "x", "--model-layout", "zip"], {}, "--model-layout is versioned or flat, not zip"),
        ([*DATA, "--job-dir", "x"], {"TF_CONFIG": server}, r"TF_CONFIG has a parameter server \(ps\)"),
    ):
        with pytest.raises(UserError, match=message):
            vertex_run(argv, environment)


def test_what_travels_imports_only_what_the_images_hold(project: Path) -> None:
    """TensorFlow, Keras, NumPy and the standard library; nothing else is sure to be there."""
    import ast

    for file in (project / "src").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names | {"tensorflow", "keras", "numpy", "trainer"}, f"{file}: {name}"


@pytest.mark.long
def test_an_interrupted_local_training_says_so_without_a_traceback(project: Path, tmp_path: Path) -> None:
    import signal
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "train.py", "--epochs", "100000", "--job-dir", tmp_path / "job"],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch=3 "):
            process.send_signal(signal.SIGINT)
            break
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "stopped\n"
    assert f"--job-dir {os.path.relpath(tmp_path / 'job', project)}" in told
