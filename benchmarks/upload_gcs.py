"""`onstage vertex upload` against `gcloud storage cp`, on one Cloud Storage on loopback that takes 50 ms for every
request: `.venv/bin/python benchmarks/upload_gcs.py`. It needs the gcloud CLI, without an account.

200 files of 10 kB and one of 200 MB. Both are whole commands, from their start to their end, in turns.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LATENCY = 0.05
RUNS = 3
FOLDER = "iris_classifier/data/train"


def gcloud() -> str:
    """The gcloud CLI of this machine: no package index has it."""
    found = shutil.which("gcloud")
    if found is None:
        raise SystemExit("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
    return found


def fill(data: Path) -> int:
    """The files; returns how many bytes they are."""
    shutil.rmtree(data)
    data.mkdir()
    for number in range(200):
        (data / f"{number}.csv").write_bytes(os.urandom(10_000))
    with (data / "large.csv").open("wb") as large:
        for _ in range(200):
            large.write(os.urandom(1_000_000))
    return 200 * 10_000 + 200 * 1_000_000


def timed(command: list[str | Path], environment: dict[str, str], cwd: Path) -> float:
    """Seconds that a command takes, which has to succeed."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - started


def serve(root: Path) -> None:
    """The Cloud Storage, in a process of its own, until its standard input ends."""
    sys.path.insert(0, str(ROOT))
    from tests.emulators.gcs import StorageServer

    with StorageServer(root) as server:
        server.troubles.latency = LATENCY
        server.objects.create_bucket("bkt")
        server.buckets["bkt"] = {"kind": "storage#bucket", "id": "bkt", "name": "bkt", "location": "US-CENTRAL1"}
        print(server.url, flush=True)
        sys.stdin.read()


def main() -> None:
    """Print the median of RUNS runs of each, and their ratio."""
    tool = gcloud()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        render = ["-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder, ROOT]
        subprocess.run([sys.executable, *render], check=True, capture_output=True)
        project = folder / "iris_classifier"
        settings = project / "settings.toml"
        empty, filled = 'project = ""\nbucket = ""', 'project = "proj"\nbucket = "bkt"'
        settings.write_text(settings.read_text(encoding="utf-8").replace(empty, filled), encoding="utf-8")
        size = fill(project / "data" / "train")
        times: dict[str, list[float]] = {"onstage vertex upload": [], "gcloud storage cp": []}
        for _ in range(RUNS):
            for name, seconds in times.items():
                shutil.rmtree(folder / "buckets", ignore_errors=True)
                server = subprocess.Popen(
                    [sys.executable, "-B", __file__, "serve", folder / "buckets"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                url = server.stdout.readline().strip()
                clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
                if "onstage" in name:
                    command = [sys.executable, "-B", "-m", "onstage", "vertex", "upload"]
                    environment = {**clean, "STORAGE_EMULATOR_HOST": url}
                else:
                    command = [
                        tool,
                        "storage",
                        "cp",
                        "--recursive",
                        "data/train",
                        f"gs://bkt/{FOLDER.rpartition('/')[0]}/",
                    ]
                    properties = {
                        "CONFIG": str(folder / "gcloud"),
                        "API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/storage/v1/",
                        "AUTH_DISABLE_CREDENTIALS": "true",
                        "CORE_DISABLE_PROMPTS": "true",
                        "CORE_DISABLE_USAGE_REPORTING": "true",
                        "CORE_PROJECT": "proj",
                        "COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
                    }
                    own = {f"CLOUDSDK_{name}": value for name, value in properties.items()}
                    environment = {**clean, **own, "HOME": temporary}
                seconds.append(timed(command, environment, project))
                server.stdin.close()
                server.wait()
                there = sorted((folder / "buckets" / "bkt" / FOLDER).iterdir())
                if len(there) != 201 or sum(file.stat().st_size for file in there) != size:
                    raise SystemExit(f"{name} sent {len(there)} files")
    ours, theirs = (statistics.median(seconds) for seconds in times.values())
    for name, seconds in times.items():
        print(f"{name}: median {statistics.median(seconds):.1f} s of {', '.join(f'{one:.1f}' for one in seconds)}")
    print(f"ratio: {ours / theirs:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main()
