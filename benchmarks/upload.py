"""`onstage sagemaker upload` against `aws s3 cp --recursive`: `.venv/bin/python benchmarks/upload.py`.

Both send 200 small files and one of 200 MB to the same S3 on loopback, which takes 50 ms for every request and forgets
what it gets. Needs awscli from PyPI, once.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
AWSCLI = "awscli==1.*"
LATENCY, RUNS = 0.05, 3
LARGE, SMALL, FILES = 200_000_000, 4_000, 200
BUCKET = "upload-benchmark"


class ForgetfulS3(BaseHTTPRequestHandler):
    """Takes everything and keeps nothing but how much it was."""

    protocol_version = "HTTP/1.1"
    received = 0
    lock = threading.Lock()

    def _answer(self, content: bytes = b"") -> None:
        left = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        with self.lock:
            ForgetfulS3.received += left
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        time.sleep(LATENCY)
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("x-amz-bucket-region", "us-east-1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer(b"<ListBucketResult/>" if "list-type" in self.path else b"<ListMultipartUploadsResult/>")

    def do_POST(self) -> None:
        part = b"<UploadId>1</UploadId>" if "uploads" in self.path else b'<ETag>"0"</ETag>'
        self._answer(b"<Result><Bucket>b</Bucket><Key>k</Key>" + part + b"</Result>")

    def do_PUT(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def awscli() -> str:
    """The aws program, in an environment of its own that stays."""
    folder = ROOT / "build" / "oracles" / "awscli"
    program = folder / "bin" / "aws"
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", AWSCLI], check=True)
    return str(program)


def seconds(command: list[str], folder: Path, url: str) -> float:
    """Seconds that an upload takes; everything has to arrive."""
    ForgetfulS3.received = 0
    # With the bytecode that everybody has after the first run.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}
    account = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    bytecode = {"PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}
    environment = {**own, **bytecode, **account, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    elapsed = time.perf_counter() - started
    if ForgetfulS3.received < LARGE + FILES * SMALL:
        raise SystemExit(f"{' '.join(command)} sent {ForgetfulS3.received} bytes only")
    return elapsed


def main() -> None:
    """Print medians of RUNS interleaved runs, and their ratio."""
    aws = awscli()
    server = ThreadingHTTPServer(("127.0.0.1", 0), ForgetfulS3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(cookiecutter(str(ROOT), no_input=True, output_dir=temporary, default_config=True))
        settings = project / "settings.toml"
        settings.write_text(
            settings.read_text(encoding="utf-8").replace('bucket = ""', f'bucket = "{BUCKET}"', 1), encoding="utf-8"
        )
        data = project / "data"
        (data / "train" / "large.csv").write_bytes(os.urandom(LARGE // 100) * 100)
        for number in range(FILES):
            (data / "train" / f"small-{number:03d}.csv").write_bytes(os.urandom(SMALL))
        commands = {
            "onstage sagemaker upload": [sys.executable, "-m", "onstage", "sagemaker", "upload"],
            "aws s3 cp --recursive": [aws, "s3", "cp", "--recursive", "data", f"s3://{BUCKET}/data"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(RUNS + 1):
            for name, command in commands.items():
                elapsed = seconds(command, project, url)
                if run:
                    times[name].append(elapsed)
    server.shutdown()
    print(f"{FILES} files of {SMALL} bytes and one of {LARGE / 1e6:.0f} MB, {LATENCY * 1000:.0f} ms a request")
    ours, theirs = (statistics.median(found) for found in times.values())
    for name, found in times.items():
        print(f"{name}: {statistics.median(found):.2f} s")
    print(f"ratio: {ours / theirs:.2f} (below 1: faster)")


if __name__ == "__main__":
    main()
