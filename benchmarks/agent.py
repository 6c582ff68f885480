"""What SageMaker's agent adds to a script, in seconds and as a ratio: `.venv/bin/python benchmarks/agent.py`.

The script starts Python and ends; its data are 100 files, 10 MB in all; it writes a model of 10 MB.
"""

import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job

ROOT = Path(__file__).resolve().parent.parent
RUNS = 10
SCRIPT = "import os; open(os.environ['SM_MODEL_DIR'] + '/weights', 'wb').write(os.urandom(10_000_000))"


def body(hosts: int, requirements: bool) -> dict:
    """A request of so many hosts, whose source has a requirements.txt or not."""
    return {
        "TrainingJobName": "benchmark",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://bucket/{'with' if requirements else 'plain'}.tar.gz",
        },
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/data"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts},
    }


def fill(bucket: Path) -> None:
    """The data and both sources."""
    (bucket / "data").mkdir(parents=True)
    for number in range(100):
        (bucket / "data" / f"{number}.csv").write_bytes(os.urandom(100_000))
    for name, requirements in (("plain", ""), ("with", "pip\n")):
        with tarfile.open(bucket / f"{name}.tar.gz", "w:gz") as tar:
            for file, content in (("train.py", SCRIPT), ("requirements.txt", requirements)):
                member = tarfile.TarInfo(file)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content.encode()))


def main() -> None:
    """Print medians of RUNS interleaved runs."""
    kinds = {"one host": (1, False), "two hosts": (2, False), "one host, requirements": (1, True)}
    overhead: dict[str, list[float]] = {kind: [] for kind in kinds}
    plain, whole = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fill(folder / "store" / "bucket")
        for run in range(RUNS):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", SCRIPT], env={"SM_MODEL_DIR": temporary}, check=True)
            plain.append(time.perf_counter() - started)
            for kind, request in kinds.items():
                result = run_training_job(body(*request), LocalStore(folder / "store"), folder / f"{run} {kind}")
                if result.status != "Completed":
                    raise SystemExit(f"{kind}: {result.failure_reason}")
                overhead[kind].append(result.overhead_seconds)
                if kind == "one host":
                    whole.append(result.seconds)
    base = statistics.median(plain)
    print(f"the script alone: {base:.3f} s; as a job: {statistics.median(whole) / base:.1f} times that")
    for kind, seconds in overhead.items():
        print(f"overhead, {kind}: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s")


if __name__ == "__main__":
    main()
