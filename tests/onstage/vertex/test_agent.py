"""The agent executes CustomJob bodies as Vertex AI would, and leaves nothing running and nothing damaged."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from onstage.errors import UserError
from tests.conftest import Command
from tests.onstage.processes import is_running
from tests.onstage.vertex.bench import BASE, SEEN, Bench, seen


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_container_gets_the_variables_of_the_service_and_nothing_of_this_machine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")
    monkeypatch.setenv("PYTHONPATH", str(bench.folder / "mine"))
    body = bench.body(args=["--data=/gcs/bucket/data", "--text=x/gcs/bucket"])
    result = bench.run(body)
    assert (result.state, result.error) == ("JOB_STATE_SUCCEEDED", None), result.log
    (found,) = seen(result.log)
    environment, buckets = found["env"], bench.folder / "store"
    assert environment["AIP_MODEL_DIR"] == f"{BASE}/model/"
    assert environment["AIP_CHECKPOINT_DIR"] == f"{BASE}/checkpoints/"
    assert environment["AIP_TENSORBOARD_LOG_DIR"] == f"{BASE}/logs/"
    assert environment["CLOUD_ML_PROJECT_ID"].isdecimal() and environment["CLOUD_ML_JOB_ID"].isdecimal()
    cluster = json.loads(environment["CLUSTER_SPEC"])
    assert cluster["task"] == {"type": "workerpool0", "index": 0}
    assert cluster["environment"] == "cloud" and cluster["job"] == body["jobSpec"]
    absent = ("TF_CONFIG", "CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE", "GOOGLE_APPLICATION_CREDENTIALS")
    assert not [name for name in (*absent, "PYTHONPATH") if name in environment]
    assert not [name for name in environment if name.startswith(("PIP_", "SM_", "AWS_"))]
    assert environment["OWN"] == f"{buckets}/bucket/own"
    assert found["argv"] == [f"--data={buckets}/bucket/data", "--text=x/gcs/bucket"]
    assert found["cwd"] == []
    assert not [path for path in found["path"] if Path(path).is_relative_to(bench.folder / "mine")]
    assert environment["HOME"] != os.environ.get("HOME")
    assert "CUDA_VISIBLE_DEVICES" not in environment


def test_a_job_without_an_output_directory_has_no_places(bench: Bench) -> None:
    body = bench.body()
    del body["jobSpec"]["baseOutputDirectory"]
    result = bench.run(body)
    assert not [name for name in seen(result.log)[0]["env"] if name.startswith("AIP_")]
    assert result.model is None


def test_several_replicas_have_names_of_each_other_and_roles_by_their_pool(bench: Bench) -> None:
    result = bench.run(bench.body("import time\n" + SEEN + "time.sleep(0.5)", 1, 1, 1, 1))
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    found = {one["env"]["TF_CONFIG"]: json.loads(one["env"]["TF_CONFIG"]) for one in seen(result.log)}
    assert sorted(config["task"]["type"] for config in found.values()) == ["chief", "evaluator", "ps", "worker"]
    clusters = [config["cluster"] for config in found.values()]
    assert all(cluster == clusters[0] for cluster in clusters)
    assert sorted(clusters[0]) == ["chief", "ps", "worker"]
    assert {one["env"]["CUDA_VISIBLE_DEVICES"] for one in seen(result.log)} == {"-1"}
    addresses = [address for hosts in clusters[0].values() for address in hosts]
    assert addresses == [f"cmle-training-workerpool{number}-1234567890-0:2222" for number in range(3)]
    pools = json.loads(seen(result.log)[0]["env"]["CLUSTER_SPEC"])["cluster"]
    assert sorted(pools) == [f"workerpool{number}" for number in range(4)]


MEET = """
import json, os, socket, time, urllib.request
config = json.loads(os.environ["TF_CONFIG"])
own, cluster = config["task"], config["cluster"]
name, _, port = cluster[own["type"]][own["index"]].partition(":")
other = cluster["worker" if own["type"] == "chief" else "chief"][0].partition(":")[0]
with socket.create_server(("", socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][4][1])) as server:
    for _ in range(100):
        try:
            socket.create_connection((other, int(port))).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    server.settimeout(10)
    server.accept()
storage = os.environ["STORAGE_EMULATOR_HOST"]
where = f"{storage}/upload/storage/v1/b/bucket/o?uploadType=media&name=jobs/{own['type']}"
urllib.request.urlopen(urllib.request.Request(where, b"here", method="POST")).close()
print(own["type"], "has met", other, flush=True)
time.sleep(1)
"""


def test_several_replicas_find_each_other_by_their_names_and_it_is_known_who_wrote_what(bench: Bench) -> None:
    result = bench.run(bench.body(MEET, 1, 1))
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    names = [f"cmle-training-workerpool{number}-1234567890-0" for number in range(2)]
    assert result.log == f"chief has met {names[1]}\nworker has met {names[0]}\n"
    assert [replica.host for replica in result.replicas] == names
    assert [replica.written for replica in result.replicas] == [
        ("gs://bucket/jobs/chief",),
        ("gs://bucket/jobs/worker",),
    ]
    assert (bench.folder / "store" / "bucket" / "jobs" / "worker").read_text() == "here"


def test_code_that_looks_up_no_name_gets_addresses(bench: Bench) -> None:
    result = bench.run(bench.body("import time\n" + SEEN + "time.sleep(0.5)", 1, 1), named=False)
    cluster = json.loads(seen(result.log)[0]["env"]["TF_CONFIG"])["cluster"]
    addresses = [cluster[role][0] for role in ("chief", "worker")]
    assert len({*addresses}) == 2 and all(one.startswith("127.0.0.1:") for one in addresses)


def test_an_empty_pool_keeps_the_place_of_the_workers(bench: Bench) -> None:
    result = bench.run(bench.body("import time\n" + SEEN + "time.sleep(0.3)", 1, 0, 1))
    assert [replica.name for replica in result.replicas] == ["workerpool0-0", "workerpool2-0"]
    assert sorted(json.loads(seen(result.log)[0]["env"]["TF_CONFIG"])["cluster"]) == ["chief", "ps"]


ENDS_BY_ROLE = """
import json, os, sys, time
role = json.loads(os.environ["TF_CONFIG"])["task"]["type"]
if role == {role!r}:
    time.sleep(0.5)
    sys.exit({code})
time.sleep(600)
"""


def test_a_replica_that_fails_ends_the_job_with_the_message_of_the_service(bench: Bench) -> None:
    result = bench.run(bench.body(ENDS_BY_ROLE.format(role="worker", code=3), 1, 1))
    assert result.state == "JOB_STATE_FAILED"
    assert result.error.startswith("The replica workerpool1-0 exited with a non-zero status of 3. To find out more")
    assert [replica.exit_code for replica in result.replicas] == [None, 3]
    killed = bench.run(bench.body("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"))
    assert "non-zero status of 137" in killed.error


def test_the_job_is_over_when_its_chief_is(bench: Bench) -> None:
    result = bench.run(bench.body(ENDS_BY_ROLE.format(role="chief", code=0), 1, 1))
    assert result.state == "JOB_STATE_SUCCEEDED"
    assert [replica.exit_code for replica in result.replicas] == [0, None]


STARTS_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pid", child.pid, flush=True)
time.sleep(600)
"""


def test_a_container_ends_with_its_first_process_whatever_that_has_started(bench: Bench) -> None:
    body = bench.body()
    body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"] = ["bash", "-c", "sleep 60 & echo pid=$!"]
    result = bench.run(body, time_limit=20)
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    assert not is_running(int(result.log.partition("pid=")[2]))


def test_a_job_out_of_time_is_ended_with_all_that_it_started(bench: Bench) -> None:
    result = bench.run(bench.body(STARTS_A_CHILD, scheduling={"timeout": "2s"}))
    assert (result.state, result.limit) == ("JOB_STATE_CANCELLED", "timeout")
    assert bench.run(bench.body(STARTS_A_CHILD), time_limit=1).limit == "time_limit"
    pid = next(line.split()[1] for line in result.log.splitlines() if line.startswith("pid "))
    assert not is_running(int(pid))


REPORTS = """
import os, pathlib
file = pathlib.Path(os.environ["CLOUD_ML_HP_METRIC_FILE"])
file.parent.mkdir(parents=True)
file.write_text('{"checkpoint_path": "", "global_step": "1", "timestamp": 1.0, "trial": "7", "val_loss": "0.5"}\\n')
"""


def test_a_trial_reports_its_metric_in_the_file_of_the_service(bench: Bench) -> None:
    result = bench.run(bench.body(SEEN + REPORTS), trial="7")
    environment = seen(result.log)[0]["env"]
    assert environment["CLOUD_ML_TRIAL_ID"] == "7"
    assert json.loads(environment["CLUSTER_SPEC"])["task"]["trial"] == "7"
    assert result.metrics == {"val_loss": [0.5]}
    assert bench.run(bench.body(SEEN)).metrics == {}


LOOKS = """
import importlib.util
print("lost:", importlib.util.find_spec("trainer.lost"))
"""


def test_the_executor_installs_the_package_and_runs_its_module_from_an_empty_folder(bench: Bench) -> None:
    uri = bench.sdist({"trainer/__init__.py": "", "trainer/task.py": SEEN + LOOKS, "trainer/lost/module.py": ""})
    spec = {
        "executorImageUri": "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest",
        "packageUris": [uri],
        "pythonModule": "trainer.task",
        "args": ["--epochs=2"],
    }
    body = bench.body()
    body["jobSpec"]["workerPoolSpecs"] = [{"pythonPackageSpec": spec, "replicaCount": 1}]
    result = bench.run(body)
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    (found,) = seen(result.log)
    assert found["argv"] == ["--epochs=2"] and found["cwd"] == []
    assert len(re.findall(r"Successfully installed tiny[-_]trainer-1\.0", result.log)) == 2
    assert "lost: None" in result.log


@pytest.mark.long
def test_a_container_installs_from_the_mounted_bucket_and_gets_its_flags(bench: Bench, command: Command) -> None:
    uri = bench.sdist({"trainer/__init__.py": "", "trainer/task.py": SEEN})
    script = f'pip install {uri.replace("gs://", "/gcs/")} && exec python -m trainer.task "$@"'
    body = bench.body(args=["one two", "--x=1"])
    body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"] = ["bash", "-c", script, "trainer"]
    result = bench.run(body)
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    assert seen(result.log)[0]["argv"] == ["one two", "--x=1"]
    absent = command(
        sys.executable, "-c", "import importlib.metadata as m; m.version('tiny_trainer')", cwd=bench.folder
    )
    assert "PackageNotFoundError" in absent.stderr


def test_what_is_written_in_no_place_of_the_bucket_is_noticed(bench: Bench) -> None:
    code = """
import os, pathlib
place = pathlib.Path(os.environ["AIP_MODEL_DIR"])
place.mkdir(parents=True)
(place / "saved_model.pb").touch()
"""
    result = bench.run(bench.body(code))
    assert result.model_files == ()
    assert result.stray_places == ("workerpool0-0/work/gs:",)
    assert result.stray_models == ("workerpool0-0/work/gs:/bucket/jobs/a-job/model/saved_model.pb",)


def test_a_body_that_cannot_be_rehearsed_is_refused_and_its_neighbour_is_not(bench: Bench) -> None:
    body = bench.body("pass")
    del body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"]
    with pytest.raises(UserError, match="command is missing"):
        bench.run(body)
    with pytest.raises(UserError, match=r"no jobSpec.workerPoolSpecs\[0\]"):
        bench.run({"displayName": "x"})
    assert bench.run(bench.body("pass")).state == "JOB_STATE_SUCCEEDED"
