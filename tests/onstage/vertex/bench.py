"""Buckets of this machine, and CustomJob bodies that run on them."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onstage.rehearsal.store import LocalStore
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.outcome import JobResult

SEEN = """
import json, os, sys
seen = {"argv": sys.argv[1:], "cwd": os.listdir(), "path": sys.path, "python": sys.executable, "env": dict(os.environ)}
print("seen " + json.dumps(seen), flush=True)
"""
BASE = "gs://bucket/jobs/a-job"
SETUP = """
from setuptools import find_packages, setup
setup(name="tiny_trainer", version="1.0", packages=find_packages(), python_requires=">=3.10")
"""


class Bench:
    """Buckets, and jobs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalStore(folder / "store")
        (folder / "store" / "bucket").mkdir(parents=True)
        self.runs = 0

    def body(self, code: str = SEEN, *pools: int, args: list[str] | None = None, **members: Any) -> dict[str, Any]:
        """A job whose container runs `code`; `pools` are replica counts, `members` go into its jobSpec."""
        container = {
            "imageUri": "docker.io/tensorflow/tensorflow:2.21.0",
            "command": ["python", "-c", code],
            "args": args or [],
            "env": [{"name": "OWN", "value": "/gcs/bucket/own"}],
        }
        specs = [{"containerSpec": container, "replicaCount": count} if count else {} for count in pools or (1,)]
        output = {"outputUriPrefix": BASE}
        return {"displayName": "a-job", "jobSpec": {"workerPoolSpecs": specs, "baseOutputDirectory": output, **members}}

    def run(self, body: Mapping[str, Any], **options: Any) -> JobResult:
        self.runs += 1
        return run_custom_job(body, self.store, self.folder / f"run-{self.runs}", grace=1, **options)

    def sdist(self, files: Mapping[str, str]) -> str:
        """A source distribution of these files, uploaded; returns its gs:// URI."""
        uri = "gs://bucket/packages/tiny_trainer-1.0.tar.gz"
        place = self.store.path(uri)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(place, "w:gz") as tar:
            for name, text in {"setup.py": SETUP, **files}.items():
                file = self.folder / "file"
                file.write_text(text, encoding="utf-8")
                tar.add(file, f"tiny_trainer-1.0/{name}")
        return uri


def seen(log: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("seen ")) for line in log.splitlines() if line.startswith("seen ")]
