"""The agent calls and reports on scripts as the training toolkit itself does, installed beside and run for real."""

import json
import re
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

# setuptools, because a setup.py beside the script is installed without the network.
REQUIREMENTS = ["sagemaker-training==5.1.4", "setuptools==80.*"]
# Its own requirements would replace sagemaker-training by one of years ago.
REQUIREMENTS_ALONE = ["sagemaker-tensorflow-training==20.5.0"]

# Writes all that a script can see of how it was called.
DUMP = """
import json, os, sys
files = sorted(os.path.relpath(os.path.join(where, name)) for where, _, names in os.walk(".") for name in names)
seen = {"argv": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "files": files}
with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "seen.json"), "w") as file:
    json.dump(seen, file)
"""

HYPERPARAMETERS = {
    "whole": "7",
    "real": "1e-05",
    "big": "1e400",
    "huge": "12345678901234567890",
    "negative": "-3.50",
    "yes": "true",
    "Yes": "True",
    "nothing": "null",
    "none": "None",
    "text": '"quoted"',
    "bare": "not quoted",
    "unicode": "Grüße, 世界 \U0001f33c",
    "escaped": '"Gr\\u00fc\\u00dfe"',
    "apostrophe": "it's",
    "spaces": "  two  ",
    "empty": "",
    "empty-text": '""',
    "mapping": '{"b": 1, "a": null, "c": {"d": true} }',
    "list": '[1, "two", null, 3.0]',
    "k": "5",
    "Z": "letter",
    "dashed-name": "1",
    "dotted.name": "2",
    "shell": '$HOME `id` ; * \\ " %',
    "newline": "one\ntwo",
    "nan": "NaN",
    "flag-like": "--other",
    "uri": "s3://bucket/opt/ml/x",
    "location": "/opt/ml/model",
    "long": "x" * 2500,
    "sagemaker_own_parameter": "[1, 2]",
    "sagemaker_container_log_level": "30",
    "sagemaker_region": '"eu-west-1"',
    "sagemaker_job_name": '"job"',
    "sagemaker_enable_cloudwatch_metrics": "false",
}


class Seen(NamedTuple):
    """What one host's container did; `script` is what DUMP wrote."""

    exit_code: int | None
    failure: str | None
    files: list[str]
    script: dict[str, Any] | None


@pytest.fixture(scope="session")
def toolkit_python() -> Path:
    """An interpreter with the toolkit, made once for all sessions: build/ is not in git."""
    return environment("toolkit", REQUIREMENTS, alone=REQUIREMENTS_ALONE, finish=_stand_in_for_tensorflow)


def _stand_in_for_tensorflow(folder: Path) -> None:
    # Of TensorFlow, the toolkit uses the names of the exceptions only; importing it takes seconds.
    from tensorflow.python.framework import errors_impl

    names = [name for name, value in getmembers(errors_impl) if isclass(value)]
    package = next(folder.glob("lib/python*/site-packages")) / "tensorflow" / "python" / "framework"
    package.mkdir(parents=True)
    (package / "errors_impl.py").write_text("\n".join(f"class {name}: pass" for name in names))
    for part in (package, package.parent, package.parent.parent):
        (part / "__init__.py").touch()


class Pair:
    """Runs one job twice: by the toolkit, and by the agent."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder

    def __call__(
        self, files: dict[str, str], hyperparameters: dict[str, str], hosts: int = 1, environment: dict | None = None
    ) -> tuple[list[Seen], list[Seen]]:
        """What the toolkit's and what the agent's containers did with a source of these files."""
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
        theirs = []
        for host in lay_out(body, store, self.folder / "theirs"):
            # The toolkit compares values with /opt/ml itself, which the agent has replaced.
            said = host.base / "input" / "config" / "hyperparameters.json"
            said.write_text(json.dumps(body["HyperParameters"]), encoding="utf-8")
            done = subprocess.run(
                [self.python, "-m", "sagemaker_training.cli.train"],
                env={
                    **clean(host.root, str(self.python)),
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
                capture_output=True,
                check=False,
            )
            theirs.append(self._seen(host.base, done.returncode))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIP_NO_BUILD_ISOLATION", "0")
            result = run_training_job(body, store, self.folder / "ours", python=str(self.python))
        return theirs, [self._seen(host.base, host.exit_code) for host in result.hosts]

    def _seen(self, base: Path, exit_code: int | None) -> Seen:
        def shown(text: str) -> str:
            # Each runs below its own /opt/ml, and the agent installs into an interpreter of its own.
            for path in (str(base), str(base.parent.parent)):
                text = text.replace(path, "/opt/ml" if path.endswith("ml") else "/host")
            for python in (self.folder / "ours" / "overlay" / "bin" / "python", self.python):
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


@pytest.fixture
def pair(toolkit_python: Path, tmp_path: Path) -> Pair:
    return Pair(toolkit_python, tmp_path)


def environment_of(seen: Seen) -> dict[str, str]:
    """A script's environment without what is this test's own or differs on purpose."""
    assert seen.script
    left_out = {
        "SM_STUDIO_LOCAL_MODE",  # the test's switch
        "PIP_NO_BUILD_ISOLATION",  # the test's; the agent gives pip's settings to pip only
        "PATH",  # begins with the interpreter's folder in both
        "PYTHONPATH",  # compared by its first part: the rest is the toolkit's own sys.path
    }
    values = {name: value for name, value in seen.script["environment"].items() if name not in left_out}
    return {**values, "code first": seen.script["environment"]["PYTHONPATH"].split(":")[0]}


def test_arguments_environment_and_files_are_the_toolkits(pair: Pair) -> None:
    given = {"sagemaker_program": '"train.py"', **HYPERPARAMETERS}
    environment = {"MY_OWN": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "MY_PLACE": "/opt/ml/model"}
    theirs, ours = pair({"train.py": DUMP, "other.txt": "x"}, given, hosts=2, environment=environment)
    assert [seen.exit_code for seen in theirs] == [0, 0]
    for their, our in zip(theirs, ours, strict=True):
        assert their.script and our.script
        assert len(their.script["argv"]) > 50
        assert our.script["argv"] == their.script["argv"]
        assert environment_of(our) == environment_of(their)
        assert our.script["folder"] == their.script["folder"] == "/opt/ml/code"
        assert our.script["files"] == their.script["files"]
        assert our.files == their.files
    assert theirs[1].script and theirs[1].script["environment"]["SM_CURRENT_HOST"] == "algo-2"


@pytest.mark.parametrize(
    "hyperparameters",
    [
        pytest.param({"model_dir": "/opt/ml/model"}, id="static model_dir"),
        pytest.param({"model_dir": '"models"'}, id="model_dir elsewhere"),
        pytest.param({}, id="no model_dir"),
    ],
)
def test_a_tuning_job_gets_the_toolkits_model_dir(pair: Pair, hyperparameters: dict[str, str]) -> None:
    tuned = {"sagemaker_program": "train.py", "_tuning_objective_metric": "val_loss", **hyperparameters}
    [their], [our] = pair({"train.py": DUMP}, tuned)
    assert their.script and our.script and "--model_dir" in their.script["argv"]
    assert our.script["argv"] == their.script["argv"]
    assert environment_of(our) == environment_of(their)


def test_a_shell_script_gets_the_same_words(pair: Pair) -> None:
    script = '#!/bin/sh\nexec python dump.py "$@"\n'
    [their], [our] = pair({"run.sh": script, "dump.py": DUMP}, {"sagemaker_program": "run.sh", **HYPERPARAMETERS})
    assert their.script and our.script and their.exit_code == our.exit_code == 0
    assert our.script["argv"] == their.script["argv"]


def test_a_setup_py_beside_the_script_makes_both_run_it_as_a_module(pair: Pair) -> None:
    setup = "from setuptools import setup\nsetup(name='probe', version='1', py_modules=['train'])\n"
    [their], [our] = pair({"train.py": DUMP, "setup.py": setup}, {"sagemaker_program": "train.py", "a": "1"})
    assert their.script and our.script and their.exit_code == our.exit_code == 0, (their.failure, our.failure)
    assert our.script["argv"] == their.script["argv"]
    # Run by its name, sys.argv[0] would be that name.
    assert their.script["argv"][0] == "/opt/ml/code/train.py"


FAILING = {
    "exit 1 without a word": "raise SystemExit(1)",
    "exit 3": "import sys\nprint('before')\nsys.exit(3)",
    "exception": "import sys\nprint('said', flush=True)\ndef train():\n    raise ValueError('no \"rows\"')\ntrain()",
    "module missing": "import nothing_of_this_name",
    "killed by a signal": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "own failure file": "import os\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('mine')\nexit(5)",
    "syntax error": "def broken(:\n    pass",
    "an error named on both streams": (
        "import sys\nprint('KeyError: one', flush=True)\nprint('two', flush=True)\nprint('two', flush=True)\n"
        "print('OutOfRangeError: three', file=sys.stderr, flush=True)\nsys.exit(2)"
    ),
}


@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
def test_a_failing_script_is_reported_in_the_toolkits_words(pair: Pair, script: str) -> None:
    [their], [our] = pair({"train.py": script}, {"sagemaker_program": "train.py", "epochs": "2"})
    assert their.exit_code and their.failure
    assert our == their


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"other.py": ""}, id="no such entry file"),
        pytest.param({"train.py": DUMP, "requirements.txt": "--no-index\nno-such-package==1\n"}, id="no such package"),
        pytest.param({"train.py": DUMP, "requirements.txt": "not a requirement\n"}, id="no requirement"),
    ],
)
def test_what_fails_before_the_script_is_reported_in_the_toolkits_words(pair: Pair, files: dict[str, str]) -> None:
    [their], [our] = pair(files, {"sagemaker_program": "train.py"})
    assert their.exit_code and their.failure and their.script is None
    assert our == their


def test_a_killed_child_of_a_shell_script_is_reported_in_the_toolkits_words(pair: Pair) -> None:
    [their], [our] = pair({"run.sh": "#!/bin/sh\nsh -c 'kill -9 $$'\nexit $?\n"}, {"sagemaker_program": "run.sh"})
    assert their.failure and "OutOfMemory" in their.failure
    assert our == their


@pytest.mark.parametrize("program", ["missing.sh", "../train.py", '""'])
def test_an_entry_point_that_cannot_be_used_fails_with_the_toolkits_exit_code(pair: Pair, program: str) -> None:
    [their], [our] = pair({"train.py": DUMP}, {"sagemaker_program": program})
    assert their.failure and our.failure and our.exit_code == their.exit_code
    assert our.failure.startswith("Framework Error") == their.failure.startswith("Framework Error")
    assert program.strip('"') in our.failure
