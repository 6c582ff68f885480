"""How a job ends, by itself or not: with the service's reason, with what it saved, and with nothing left running."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.onstage.processes import all_end
from tests.onstage.sagemaker.bench import SAVE, Bench

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


def test_a_failure_has_the_services_reason_and_its_archives(bench: Bench) -> None:
    script = SAVE + "\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('why' * 1000)\nraise SystemExit(7)"
    result = bench.run(bench.body(script))
    assert result.status == "Failed"
    assert result.failure_reason == f"AlgorithmError: {('why' * 1000)[:1024]}, exit code: 1"
    assert result.model_archive is not None and result.model_files == ("weights",)
    told = bench.run(bench.body("raise SystemExit(7)")).failure_reason
    assert told.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 7\n") and told.endswith(", exit code: 1")


def test_a_failing_host_ends_its_peers(bench: Bench) -> None:
    script = "import os, sys, time; sys.exit(3) if os.environ['SM_CURRENT_HOST'] == 'algo-2' else time.sleep(600)"
    result = bench.run(bench.body(script, hosts=2))
    assert result.status == "Failed" and "ExitCode 3" in result.failure_reason
    assert [host.exit_code for host in result.hosts] == [None, 1]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes that left their group are found in /proc")
def test_out_of_time_ends_what_ignores_sigterm_and_all_that_it_started(bench: Bench) -> None:
    result = bench.run(bench.body(IGNORE_SIGTERM), time_limit=2, grace=0.5)
    assert (result.status, result.limit) == ("Stopped", "time_limit")
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


def test_ctrl_c_ends_the_job_and_is_passed_on(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(bench.body(NOTE_PIDS + "time.sleep(600)")))
    caller = f"""
import json, sys
from pathlib import Path
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job
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
