"""One job run three times: by the training toolkit of the default image, by a newer toolkit, and by the agent."""

import json
import re
import shutil
import subprocess
import tarfile
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from onstage.rehearsal.processes import environment as clean
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.layout import lay_out
from tests.oracles import environment

# sagemaker-training and sagemaker-tensorflow-training; the image's are in requests/training-2.21-packages.txt.
IMAGE = ("5.1.1", "20.4.1")
NEWER = ("5.1.4", "20.5.0")

# Writes all that a script can see of how it was called.
DUMP = """
import json, os, sys
files = sorted(os.path.relpath(os.path.join(where, name)) for where, _, names in os.walk(".") for name in names)
seen = {"argv": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "files": files}
with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "seen.json"), "w") as file:
    json.dump(seen, file)
"""

# The image's /bin/sh is bash, which passes on variables whose names have dashes and leaves its process to the last
# command; that of Debian and Ubuntu does neither.
_SHELL_OF_THE_IMAGE = """
import subprocess

class Popen(subprocess.Popen):
    def __init__(self, args, *more, shell=False, **options):
        if shell:
            args, options["executable"] = ["sh", "-c", args], {bash!r}
        super().__init__(args, *more, **options)

subprocess.Popen = Popen
"""


def toolkit(training: str, tensorflow: str) -> Path:
    """An interpreter with the toolkit, made once for all sessions: build/ is not in git."""
    # setuptools, because a setup.py beside the script is installed without the network.
    requirements = [f"sagemaker-training=={training}", "setuptools==80.*"]
    # Its own requirements would replace sagemaker-training by one of years ago.
    alone = [f"sagemaker-tensorflow-training=={tensorflow}"]
    return environment("toolkit", requirements, "--compile-bytecode", alone=alone, finish=_finish)


def _finish(folder: Path) -> None:
    # Of TensorFlow, the toolkit uses the names of the exceptions only; importing it takes seconds.
    from tensorflow.python.framework import errors_impl

    names = [name for name, value in getmembers(errors_impl) if isclass(value)]
    library = next(folder.glob("lib/python*/site-packages"))
    package = library / "tensorflow" / "python" / "framework"
    package.mkdir(parents=True)
    (package / "errors_impl.py").write_text("\n".join(f"class {name}: pass" for name in names))
    for part in (package, package.parent, package.parent.parent):
        (part / "__init__.py").touch()
    (library / "shell_of_the_image.py").write_text(_SHELL_OF_THE_IMAGE.format(bash=shutil.which("bash")))
    (library / "shell_of_the_image.pth").write_text("import shell_of_the_image\n")


class Seen(NamedTuple):
    """What one host's container did; `script` is what DUMP wrote."""

    exit_code: int | None
    failure: str | None
    files: list[str]
    script: dict[str, Any] | None

    @property
    def words(self) -> list[str] | None:
        """The script's own command line, if it was started."""
        return self.script and self.script["argv"][1:]

    def same_run(self, other: "Seen") -> bool:
        """Whether all but the script's environment is the same."""
        return (*self[:3], self.words) == (*other[:3], other.words)

    @property
    def environment(self) -> dict[str, str]:
        """The script's environment without what is the test's own or differs on purpose."""
        assert self.script
        left_out = {
            "SM_STUDIO_LOCAL_MODE",  # the test's switch
            "PIP_NO_BUILD_ISOLATION",  # the test's; the agent gives pip's settings to pip only
            "PATH",  # begins with the interpreter's folder everywhere
            "PYTHONPATH",  # compared by its first part: the rest is the toolkit's own sys.path
            *("PWD", "SHLVL", "_"),  # the shell's, which the agent does without where it can
            # Of several hosts: their way out of the agent's network, and that they share no GPU.
            *("https_proxy", "no_proxy", "CUDA_VISIBLE_DEVICES"),
        }
        values = {name: value for name, value in self.script["environment"].items() if name not in left_out}
        values = {name: value for name, value in values.items() if not name.startswith("ONSTAGE_")}
        return {**values, "code first": self.script["environment"]["PYTHONPATH"].split(":")[0]}


class Three(NamedTuple):
    """What was seen of each host's container, by who ran it."""

    image: list[Seen]
    newer: list[Seen]
    agent: list[Seen]


class ThreeWays:
    """Runs one job by the image's toolkit, by the newer one and by the agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pythons = {"image": toolkit(*IMAGE), "newer": toolkit(*NEWER)}
        self.ours = folder / "ours"

    def __call__(
        self, files: dict[str, str], hyperparameters: dict[str, str], hosts: int = 1, environment: dict | None = None
    ) -> Three:
        """What the containers did with a source of these files."""
        source = self.folder / "sourcedir.tar.gz"
        (self.folder / "source").mkdir()
        with tarfile.open(source, "w:gz") as tar:
            for name, content in files.items():
                (self.folder / "source" / name).write_text(content, encoding="utf-8")
                tar.add(self.folder / "source" / name, name)
        store = LocalStore(self.folder / "store")
        data = store.path("s3://bucket/data/rows.csv")
        data.parent.mkdir(parents=True)
        data.write_text("1,2\n")
        body = {
            "TrainingJobName": "a-job",
            "RoleArn": "arn:aws:iam::111122223333:role/any",
            "AlgorithmSpecification": {
                "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21",
                "TrainingInputMode": "File",
            },
            "HyperParameters": {"sagemaker_submit_directory": json.dumps(str(source)), **hyperparameters},
            "Environment": environment or {},
            "InputDataConfig": [
                {"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": uri}}
                for name, uri in (("train", {"S3Uri": "s3://bucket/data"}), ("my-eval", {"S3Uri": "s3://bucket/data/"}))
            ],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        theirs = {name: self._start(name, body) for name in self.pythons}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIP_NO_BUILD_ISOLATION", "0")
            result = run_training_job(body, store, self.ours, python=str(self.pythons["image"]))
        for running in theirs.values():
            for _, process in running:
                process.communicate()
        ended = {
            name: [self._seen(base, process.returncode) for base, process in running]
            for name, running in theirs.items()
        }
        return Three(**ended, agent=[self._seen(host.base, host.exit_code) for host in result.hosts])

    def _start(self, name: str, body: dict[str, Any]) -> list[tuple[Path, subprocess.Popen[bytes]]]:
        python, running = self.pythons[name], []
        for host in lay_out(body, LocalStore(self.folder / "store"), self.folder / name):
            # The toolkit compares values with /opt/ml itself, which the agent has replaced.
            said = host.base / "input" / "config" / "hyperparameters.json"
            said.write_text(json.dumps(body["HyperParameters"]), encoding="utf-8")
            process = subprocess.Popen(
                [python, "-m", "sagemaker_training.cli.train"],
                env={
                    **clean(host.root, str(python)),
                    "AWS_EC2_METADATA_DISABLED": "true",
                    **host.environment,
                    "SAGEMAKER_BASE_DIR": str(host.base),
                    "SAGEMAKER_TRAINING_MODULE": "sagemaker_tensorflow_container.training:main",
                    # Spares the wait for names that never resolve here.
                    "SM_STUDIO_LOCAL_MODE": "true",
                    "PIP_NO_BUILD_ISOLATION": "0",
                },
                cwd=host.root / "work",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            running.append((host.base, process))
        return running

    def _seen(self, base: Path, exit_code: int | None) -> Seen:
        def shown(text: str) -> str:
            # Each runs below its own /opt/ml, and the agent installs into an interpreter of its own.
            for path in (str(base), str(base.parent.parent)):
                text = text.replace(path, "/opt/ml" if path.endswith("ml") else "/host")
            for python in (self.ours / "overlay" / "bin" / "python", *self.pythons.values()):
                text = text.replace(str(python), "python")
            return text

        failure, script = base / "output" / "failure", base / "output" / "data" / "seen.json"
        # The toolkit reads what the pipe holds and breaks lines where Python's writes ended, now here, now there.
        reason = re.sub(r"[\s:]+", " ", shown(failure.read_text())) if failure.exists() else None
        files = sorted(path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())
        return Seen(
            exit_code,
            reason,
            [name for name in files if "egg-info" not in name and not name.startswith("code/build/")],
            json.loads(shown(script.read_text())) if script.exists() else None,
        )
