"""The agent executes CreateTrainingJob bodies as the service would, and leaves nothing running and nothing damaged."""

import io
import json
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

SAVE = "import os; open(os.environ['SM_MODEL_DIR'] + '/weights', 'w').write('w')"
NOTE_PIDS = """
import os, signal, subprocess, sys, time
note = os.environ["SM_OUTPUT_DATA_DIR"] + "/pids"
sleep = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
with open(note, "w") as file:
    print(os.getpid(), *(child.pid for child in children), file=file)
print("started", flush=True)
"""
IGNORE_SIGTERM = NOTE_PIDS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"

Put = Callable[..., None]


class Bench:
    """A store with data, and jobs on it."""

    def __init__(self, folder: Path) -> None:
        from onstage.rehearsal.store import LocalStore

        self.folder = folder
        self.store = LocalStore(folder / "store")
        self.put("s3://bucket/data/a.csv", "1\n")
        self.put("s3://bucket/data/deep/b.csv", "2\n")
        self.runs = 0

    def put(self, uri: str, content: str | bytes) -> None:
        path = self.store.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def body(self, source: str | Mapping[str, str | bytes] = SAVE, hosts: int = 1, **members: Any) -> dict[str, Any]:
        """A request whose source is train.py, or these files; `members` replace or add members of it."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, content in ({"train.py": source} if isinstance(source, str) else source).items():
                member = tarfile.TarInfo(name)
                data = content.encode() if isinstance(content, str) else content
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        self.put("s3://bucket/code/sourcedir.tar.gz", packed.getvalue())
        return {
            "TrainingJobName": "a-job",
            "RoleArn": "arn:aws:iam::111122223333:role/any",
            "AlgorithmSpecification": {
                "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21",
                "TrainingInputMode": "File",
            },
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
            },
            "InputDataConfig": [channel()],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **members,
        }

    def run(self, body: Mapping[str, Any], **options: Any) -> Any:
        from onstage.sagemaker.agent.agent import run_training_job

        self.runs += 1
        return run_training_job(body, self.store, self.folder / f"run-{self.runs}", **options)

    def refusal(self, body: Mapping[str, Any]) -> str:
        from onstage.errors import UserError

        with pytest.raises(UserError) as refused:
            self.run(body)
        return str(refused.value)


def channel(name: str = "train", uri: str = "s3://bucket/data", **members: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    known = {key: members.pop(key) for key in list(members) if key.startswith("S3")}
    return {"ChannelName": name, "DataSource": {"S3DataSource": {**source, **known}}, **members}


def is_running(pid: int) -> bool:
    """Whether a process exists and is not just waiting for its parent to notice that it ended."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def all_end(pids: list[int]) -> bool:
    """Whether all of them end; a killed process takes a moment."""
    for _ in range(200):
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def bench(project: Path, tmp_path: Path) -> Bench:
    return Bench(tmp_path)


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
    assert (result.status, result.secondary_status, result.failure_reason) == ("Completed", "Completed", None)
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
    assert first.output_archive == bench.store.path("s3://bucket/out/a-job/output/output.tar.gz")
    assert (first.model_files, first.output_files) == (("model/1/saved_model.pb",), ("logs/events",))
    assert (first.stray_models, first.notes) == ((), ())
    with tarfile.open(first.model_archive) as tar:
        assert tar.getnames() == ["model", "model/1", "model/1/assets", "model/1/saved_model.pb"]
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


def test_a_failure_has_the_services_reason_and_its_archives(bench: Bench) -> None:
    script = SAVE + "\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('why' * 1000)\nraise SystemExit(7)"
    result = bench.run(bench.body(script))
    assert result.status == result.secondary_status == "Failed"
    assert result.failure_reason == f"AlgorithmError: {('why' * 1000)[:1024]}, exit code: 1"
    assert result.model_archive is not None and result.model_files == ("weights",)
    told = bench.run(bench.body("raise SystemExit(7)")).failure_reason
    assert told.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 7\n") and told.endswith(", exit code: 1")


def test_a_failing_host_ends_its_peers(bench: Bench) -> None:
    script = "import os, sys, time; sys.exit(3) if os.environ['SM_CURRENT_HOST'] == 'algo-2' else time.sleep(600)"
    result = bench.run(bench.body(script, hosts=2))
    assert result.status == "Failed" and "ExitCode 3" in result.failure_reason
    assert [host.exit_code for host in result.hosts] == [None, 1]


def test_files_of_several_hosts_are_packed_together_and_clashes_are_named(bench: Bench) -> None:
    script = SAVE + "; host = os.environ['SM_CURRENT_HOST']; open(os.environ['SM_MODEL_DIR'] + '/' + host, 'w')"
    result = bench.run(bench.body(script, hosts=2))
    assert result.model_files == ("algo-1", "algo-2", "weights")
    assert result.notes == ("several hosts wrote weights: the service keeps one of them",)


@pytest.mark.skipif(sys.platform != "linux", reason="processes that left their group are found in /proc")
def test_out_of_time_ends_what_ignores_sigterm_and_all_that_it_started(bench: Bench) -> None:
    result = bench.run(bench.body(IGNORE_SIGTERM), time_limit=2, grace=0.5)
    assert (result.status, result.secondary_status, result.limit) == ("Stopped", "MaxRuntimeExceeded", "time_limit")
    assert (result.failure_reason, result.hosts[0].exit_code) == (None, None)
    pids = [int(pid) for pid in (result.hosts[0].base / "output" / "data" / "pids").read_text().split()]
    assert len(pids) == 3 and all_end(pids)
    assert result.log == "started\n"


def test_the_requests_own_limit_stops_a_script_and_what_it_saved_is_collected(bench: Bench) -> None:
    script = SAVE + "; import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); time.sleep(600)"
    body = bench.body(script, StoppingCondition={"MaxRuntimeInSeconds": 1})
    result = bench.run(body, time_limit=100)
    assert (result.status, result.limit, result.model_files) == ("Stopped", "MaxRuntimeInSeconds", ("weights",))


def test_a_killed_job_resumes_from_its_checkpoints(bench: Bench) -> None:
    script = """
import os, signal
place = os.environ["SAGEMAKER_BASE_DIR"] + "/saved"
done = len(os.listdir(place))
print("epochs done", done, flush=True)
os.makedirs(f"{place}/{done}")
open(f"{place}/{done}/weights", "w").write("w")
os.kill(os.getpid(), signal.SIGKILL if done == 0 else signal.SIG_DFL)
"""
    checkpoints = {"S3Uri": "s3://bucket/checkpoints/", "LocalPath": "/opt/ml/saved"}
    first = bench.run(bench.body(script, CheckpointConfig=checkpoints))
    assert first.status == "Failed" and "ExitCode -9" in first.failure_reason
    second = bench.run(bench.body(script, CheckpointConfig=checkpoints))
    assert (second.status, second.log) == ("Completed", "epochs done 1\n")
    saved = bench.store.path("s3://bucket/checkpoints")
    assert sorted(path.relative_to(saved).as_posix() for path in saved.rglob("*")) == [
        "0",
        "0/weights",
        "1",
        "1/weights",
    ]


def test_ctrl_c_ends_the_job_and_is_passed_on(bench: Bench, project: Path, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(bench.body(NOTE_PIDS + "time.sleep(600)")))
    caller = f"""
import json, sys
from pathlib import Path
sys.path[:0] = {[str(project), str(project / "src")]!r}
from rehearse.sagemaker.agent import run_training_job
from rehearse.store import LocalStore
folder = Path({str(tmp_path)!r})
try:
    run_training_job(json.loads((folder / "body.json").read_text()), LocalStore(folder / "store"), folder / "job",
                     on_line=lambda line: print(line, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""
    with subprocess.Popen([sys.executable, "-c", caller], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout and agent.stdout.readline() == "started\n"
        agent.send_signal(signal.SIGINT)
        assert agent.wait(timeout=60) == 130
    pids = (tmp_path / "job" / "algo-1" / "opt" / "ml" / "output" / "data" / "pids").read_text().split()
    assert all_end([int(pid) for pid in pids])


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


def test_pip_gets_its_settings_and_a_command_that_prints_them_no_password(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onstage.rehearsal.overlay import pip_settings

    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@host/simple")
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert pip_settings()["PIP_INDEX_URL"] == "https://user:secret@host/simple"
    assert pip_settings(shown=True)["PIP_TIMEOUT"] == "9"
    assert not any("secret" in value for value in pip_settings(shown=True).values())
    assert "AWS_SECRET_ACCESS_KEY" not in pip_settings()


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


def test_the_longest_mount_stands_for_a_uri(project: Path, tmp_path: Path) -> None:
    from onstage.rehearsal.store import LocalStore

    mounts = {"s3://b/data": tmp_path / "data", "s3://b/data/train/": tmp_path / "x.csv", "gs://b": tmp_path / "g"}
    store = LocalStore(tmp_path / "root", mounts)
    assert store.path("s3://b/data/train") == tmp_path / "x.csv"
    assert store.path("s3://b/data/training/a") == tmp_path / "data" / "training" / "a"
    assert store.path("s3://b/database") == tmp_path / "root" / "b" / "database"
    assert store.path("gs://b/data/train") == tmp_path / "g" / "data" / "train"


@pytest.mark.parametrize("uri", ["s3://b/../x", "s3://../x", "s3://b/a\\b", "s3://b/c:/x", "s3://", "/b/x", "b/x"])
def test_uris_that_are_no_place_in_a_store_are_refused(project: Path, tmp_path: Path, uri: str) -> None:
    from onstage.errors import UserError
    from onstage.rehearsal.store import LocalStore

    with pytest.raises(UserError, match=r"is not an object's address|cannot be a file of this machine"):
        LocalStore(tmp_path).path(uri)
    assert LocalStore(tmp_path).path("s3://b/..x/y") == tmp_path / "b" / "..x" / "y"
