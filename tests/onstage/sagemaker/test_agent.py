"""The agent executes CreateTrainingJob bodies as the service would, and refuses by name what it cannot rehearse."""

import io
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from typing import Any

import pytest

from tests.onstage.sagemaker.bench import SAVE, Bench, channel


def test_a_job_sees_what_the_service_gives_it_and_nothing_of_its_caller(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("HOME", "/somewhere")
    script = """
import json, os, sys
base = os.environ["SAGEMAKER_BASE_DIR"]
config = {name: json.load(open(f"{base}/input/config/{name}.json"))
          for name in ("hyperparameters", "resourceconfig", "inputdataconfig")}
channel = os.environ["SM_CHANNEL_TRAIN"]
data = sorted(os.path.relpath(os.path.join(w, n), channel) for w, _, names in os.walk(channel) for n in names)
json.dump({"config": config, "data": data, "stdin": sys.stdin.read(), "cwd": os.getcwd(), "home": os.listdir(
    os.path.expanduser("~")), "environment": dict(os.environ)}, open(os.environ["SM_MODEL_DIR"] + "/seen.json", "w"))
"""
    body = bench.body(script, hosts=2, Environment={"MINE": "/opt/ml/model"})
    body["HyperParameters"]["epochs"] = "3"
    result = bench.run(body)
    assert (result.status, result.limit, result.failure_reason) == ("Completed", None, None)
    assert [host.exit_code for host in result.hosts] == [0, 0]
    host = result.hosts[1]
    seen = json.loads((host.base / "model" / "seen.json").read_text())
    assert seen["config"]["hyperparameters"] == body["HyperParameters"]
    assert seen["config"]["resourceconfig"] == {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1", "algo-2"],
            }
        ],
        "network_interface_name": "eth0",
    }
    assert seen["config"]["inputdataconfig"] == {
        "train": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    }
    assert seen["data"] == ["a.csv", "deep/b.csv"]
    assert (seen["stdin"], seen["cwd"], seen["home"]) == ("", str(host.base / "code"), [])
    environment = seen["environment"]
    assert "AWS_SECRET_ACCESS_KEY" not in environment and "/somewhere" not in environment.values()
    assert environment["TRAINING_JOB_NAME"] == "a-job"
    assert environment["TRAINING_JOB_ARN"] == "arn:aws:sagemaker:eu-west-1:111122223333:training-job/a-job"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["MINE"] == str(host.base / "model")
    # Two processes do not fit on one GPU of this machine.
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_model_and_output_become_archives_that_are_the_same_bytes_every_time(bench: Bench) -> None:
    script = """
import os
for folder in (os.environ["SM_MODEL_DIR"] + "/model/1/assets", os.environ["SM_OUTPUT_DATA_DIR"] + "/logs"):
    os.makedirs(folder)
open(os.environ["SM_MODEL_DIR"] + "/model/1/saved_model.pb", "w").write("m")
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/logs/events", "w").write("e")
"""
    first = bench.run(bench.body(script))
    assert first.model_archive == bench.store.path("s3://bucket/out/a-job/output/model.tar.gz")
    assert first.model_files == ("model/1/saved_model.pb",)
    assert (first.stray_models, first.notes) == ((), ())
    with tarfile.open(first.model_archive) as tar:
        assert tar.getnames() == ["model", "model/1", "model/1/assets", "model/1/saved_model.pb"]
    with tarfile.open(bench.store.path("s3://bucket/out/a-job/output/output.tar.gz")) as tar:
        assert tar.getnames() == ["logs", "logs/events"]
    packed = first.model_archive.read_bytes()
    time.sleep(1.1)  # A time in the archive would have changed.
    assert bench.run(bench.body(script)).model_archive.read_bytes() == packed


def test_a_model_in_another_place_is_found_and_no_archive_is_made(bench: Bench) -> None:
    script = """
import os
os.makedirs("export/1")
for place in ("export/1/saved_model.pb", os.path.expanduser("~/model.keras"), os.environ["SM_CHANNEL_TRAIN"] + "/x.h5"):
    open(place, "w").write("m")
"""
    result = bench.run(bench.body({"train.py": script, "given.h5": "pretrained"}))
    assert (result.status, result.model_archive, result.model_files) == ("Completed", None, ())
    assert result.stray_models == ("algo-1/home/model.keras", "algo-1/opt/ml/code/export/1/saved_model.pb")
    assert bench.run(bench.body()).stray_models == ()


def test_a_script_cannot_damage_the_data_of_a_file_channel(bench: Bench) -> None:
    script = "import os, shutil; shutil.rmtree(os.environ['SM_CHANNEL_TRAIN'])"
    assert bench.run(bench.body(script)).status == "Completed"
    assert bench.store.path("s3://bucket/data/a.csv").read_text() == "1\n"


LIST = "import os; [print(sorted(n for _, _, ns in os.walk(os.environ['SM_CHANNEL_TRAIN']) for n in ns), flush=True)]"


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        pytest.param(channel(), ["['a.csv', 'b.csv']"] * 2, id="folder"),
        pytest.param(channel(uri="s3://bucket/data/"), ["['a.csv', 'b.csv']"] * 2, id="folder with a slash"),
        pytest.param(channel(uri="s3://bucket/data/a.csv"), ["['a.csv']"] * 2, id="one object"),
        pytest.param(channel(uri="s3://bucket/data/de"), ["['b.csv']"] * 2, id="beginning of a name"),
        pytest.param(channel(InputMode="FastFile"), ["['a.csv', 'b.csv']"] * 2, id="FastFile"),
        pytest.param(channel(S3DataDistributionType="ShardedByS3Key"), ["['a.csv']", "['b.csv']"], id="sharded"),
    ],
)
def test_channels_hold_the_objects_of_their_prefix(bench: Bench, given: dict[str, Any], listed: list[str]) -> None:
    result = bench.run(bench.body(LIST, hosts=2, InputDataConfig=[given]))
    assert result.log.splitlines() == listed


def described(**members: Any) -> dict[str, Any]:
    return {"InputDataConfig": [channel(**members)]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (described(InputMode="Pipe"), "channel 'train' cannot be rehearsed: InputMode Pipe"),
        (described(S3DataType="ManifestFile"), "channel 'train' cannot be rehearsed: S3DataType ManifestFile"),
        (described(S3DataType="AugmentedManifestFile"), "S3DataType AugmentedManifestFile"),
        (described(uri="s3://bucket/nothing"), "no object below s3://bucket/nothing"),
        (described(uri="s3://bucket/data/../../x"), "cannot be a file of this machine"),
        (described(uri="https://bucket/data"), "is not an object's address"),
        ({"InputDataConfig": [{"ChannelName": "train", "DataSource": {"FileSystemDataSource": {}}}]}, "its DataSource"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://b/o", "CompressionType": "NONE"}}, "CompressionType NONE"),
        ({"OutputDataConfig": {}}, "the request has no OutputDataConfig.S3OutputPath"),
        ({"ResourceConfig": {"InstanceGroups": [{}]}}, "ResourceConfig.InstanceGroups"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/data"}}, "CheckpointConfig.LocalPath /data"),
        ({"HyperParameters": {"sagemaker_program": "a.py", "sagemaker_mpi_enabled": "true"}}, "sagemaker_mpi_enabled"),
        ({"HyperParameters": {"sagemaker_submit_directory": "s3://bucket/gone.tar.gz"}}, "no s3://bucket/gone.tar.gz"),
        ({"AlgorithmSpecification": {"ContainerArguments": ["x"]}}, "ContainerArguments without ContainerEntrypoint"),
        (
            {"AlgorithmSpecification": {"ContainerEntrypoint": ["/no/such/program"]}},
            "/no/such/program cannot be started",
        ),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_by_its_name(bench: Bench, members: dict[str, Any], message: str) -> None:
    assert message in bench.refusal(bench.body(**members))


def test_the_same_request_without_such_members_runs(bench: Bench) -> None:
    result = bench.run(
        bench.body(CheckpointConfig={"S3Uri": "s3://b/c"}, OutputDataConfig={"S3OutputPath": "s3://b/o"})
    )
    assert result.status == "Completed"


def test_a_folder_is_used_for_one_run_only(bench: Bench) -> None:
    bench.run(bench.body())
    bench.runs = 0
    assert "give every run a folder of its own" in bench.refusal(bench.body())


def test_unsafe_members_of_the_source_archive_are_refused(bench: Bench) -> None:
    for name, link in (("../out.py", None), ("/tmp/out.py", None), ("link", "/etc/passwd"), ("link", "../../../x")):
        body = bench.body()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            member = tarfile.TarInfo(name)
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
        bench.put("s3://bucket/code/sourcedir.tar.gz", packed.getvalue())
        assert "it may hold only files and folders of its own" in bench.refusal(body)
    bench.put("s3://bucket/code/sourcedir.tar.gz", b"no archive")
    assert "sourcedir.tar.gz cannot be unpacked" in bench.refusal(body)


def test_metrics_are_read_by_the_requests_own_expressions(bench: Bench) -> None:
    script = "print('loss=0.5;'); print('loss=2e-1; acc=nan;'); import sys; print('acc=1;', file=sys.stderr)"
    body = bench.body(script)
    body["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "loss", "Regex": "loss=([0-9.e+-]+);"},
        {"Name": "missing", "Regex": "accuracy=([0-9.]+)"},
        {"Name": "wordy", "Regex": "(loss)=0.5"},
    ]
    result = bench.run(body)
    assert result.metrics == {"loss": [0.5, 0.2], "missing": [], "wordy": []}
    assert result.notes == ("metric wordy: 'loss' is not a number, in the line 'loss=0.5;'",)


def test_files_of_several_hosts_are_packed_together_and_clashes_are_named(bench: Bench) -> None:
    script = SAVE + "; host = os.environ['SM_CURRENT_HOST']; open(os.environ['SM_MODEL_DIR'] + '/' + host, 'w')"
    result = bench.run(bench.body(script, hosts=2))
    assert result.model_files == ("algo-1", "algo-2", "weights")
    assert result.notes == ("several hosts wrote weights: the service keeps one of them",)


def test_requirements_are_installed_on_top_and_leave_the_own_environment_alone(bench: Bench) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("tiny_probe.py", "WORD = 'installed'")
        packed.writestr("tiny_probe-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-probe\nVersion: 1.0\n")
        packed.writestr(
            "tiny_probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr("tiny_probe-1.0.dist-info/RECORD", "")
    source = {
        "train.py": "import sys, numpy, tiny_probe; print(tiny_probe.WORD, sys.executable)",
        "requirements.txt": "# ours\n--no-index\n./tiny_probe-1.0-py3-none-any.whl\n",
        "tiny_probe-1.0-py3-none-any.whl": wheel.getvalue(),
    }
    result = bench.run(bench.body(source))
    overlay = bench.folder / "run-1" / "overlay" / "bin" / "python"
    assert result.log.splitlines()[-1] == f"installed {overlay}"
    absent = subprocess.run([sys.executable, "-c", "import tiny_probe"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in absent.stderr
    bench.run(bench.body({"train.py": SAVE, "requirements.txt": "# nothing yet\n\n"}))
    assert not (bench.folder / "run-2" / "overlay").exists()


def test_a_job_with_a_command_of_its_own_runs_it_with_its_drivers_relocated(bench: Bench) -> None:
    driver = """#!/bin/bash
set -e
command -v python3 pip3 > /dev/null
cd /opt/ml/input/data/code
SM_MODEL_DIR=/opt/ml/model python3 train.py "$(cat /opt/ml/input/config/hyperparameters.json)"
if [ -n "$FAIL" ]; then echo "no more" >> /opt/ml/output/failure; exit 4; fi
"""
    script = SAVE + "; import sys; print(sys.argv[1]); print('s3://bucket/opt/ml/x')"
    bench.put("s3://bucket/drivers/sm_train.sh", driver)
    bench.put("s3://bucket/source/train.py", script)
    path = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    body = bench.body(
        HyperParameters={"epochs": "3", "place": "/opt/ml/x"},
        InputDataConfig=[
            channel("code", "s3://bucket/source/"),
            channel("sm_drivers", "s3://bucket/drivers/", InputMode="FastFile"),
        ],
    )
    body["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", f"chmod +x {path} && {path}"],
    }
    result = bench.run(body)
    assert (result.status, result.model_files) == ("Completed", ("weights",)), result.log
    said = {"epochs": "3", "place": str(result.hosts[0].base / "x")}
    assert result.log.splitlines() == [json.dumps(said), "s3://bucket/opt/ml/x"]
    assert bench.store.path("s3://bucket/drivers/sm_train.sh").read_text() == driver
    failed = bench.run({**body, "Environment": {"FAIL": "1"}})
    assert failed.failure_reason == "AlgorithmError: no more\n, exit code: 4"


def test_lines_are_passed_on_as_they_are_written(bench: Bench) -> None:
    lines: list[str] = []
    bench.run(bench.body("print('one')", hosts=2), on_line=lines.append)
    assert sorted(lines) == ["algo-1: one", "algo-2: one"]


def test_a_shell_script_outside_of_the_source_is_refused_and_stays_as_it_was(bench: Bench) -> None:
    bench.put("s3://bucket/run.sh", "true")
    outside = bench.store.path("s3://bucket/run.sh")
    mode = outside.stat().st_mode
    program = {"sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz", "sagemaker_program": str(outside)}
    assert "outside of the source" in bench.refusal(bench.body({"run.sh": "true"}, HyperParameters=program))
    assert outside.stat().st_mode == mode
    inside = {**program, "sagemaker_program": "../code/run.sh"}
    assert bench.run(bench.body({"run.sh": "true"}, HyperParameters=inside)).status == "Completed"
