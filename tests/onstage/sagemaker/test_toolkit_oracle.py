"""The agent calls and reports on scripts as the default image's training toolkit, which is installed and run for real.

A newer toolkit, which an image of one's own may have, runs the same jobs. What it does otherwise stands in the tables
below: REREAD, REREAD_OF_SHELL_SCRIPTS, ENDING, PROGRAMS, MEMBERS, and in `in_words_of_the_image`.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.rehearsal.archives import unpack
from onstage.rehearsal.processes import Launch
from onstage.rehearsal.processes import run as run_processes
from onstage.sagemaker.requests import images
from tests.onstage.sagemaker.toolkits import DUMP, IMAGE, NEWER, Seen, ThreeWays, toolkit
from tests.onstage.sagemaker.values import ODD, PLAIN


@pytest.fixture
def run(tmp_path: Path) -> ThreeWays:
    return ThreeWays(tmp_path)


def in_words_of_the_image(newer: Seen) -> Seen:
    """What the newer toolkit says, without its `--` before the script and with the image's quotes around a line."""
    assert newer.failure
    said = newer.failure.replace("python -- ", "python ").replace("-c ./run.sh ", '-c "./run.sh "')
    return newer._replace(failure=said)


def test_arguments_environment_and_files_are_the_toolkits(run: ThreeWays) -> None:
    environment = {"MY_OWN": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "MY_PLACE": "/opt/ml/model"}
    given = {"sagemaker_program": '"train.py"', **PLAIN}
    done = run({"train.py": DUMP, "other.txt": "x"}, given, hosts=2, environment=environment)
    for image, newer, agent in zip(*done, strict=True):
        assert image.exit_code == 0 and image.script and image.words and len(image.words) > 30
        assert agent.words == newer.words == image.words
        assert agent.environment == newer.environment == image.environment
        assert agent.script and agent.script["folder"] == image.script["folder"] == "/opt/ml/code"
        assert agent.script["files"] == image.script["files"]
        assert agent.files == newer.files == image.files
    assert done.image[1].environment["SM_CURRENT_HOST"] == "algo-2"


def test_the_environment_has_every_value_as_it_was_given(run: ThreeWays) -> None:
    # The image's shell takes what follows the first value for a comment.
    given = {"sagemaker_program": "train.py", "0": "#", **PLAIN, **ODD, "newline": "one\ntwo"}
    [image], [newer], [agent] = run({"train.py": DUMP}, given)
    assert agent.words == image.words == ["-0"]
    assert agent.environment == newer.environment == image.environment
    assert newer.words == json.loads(agent.environment["SM_USER_ARGS"])
    assert len(newer.words) > 50


# What the image's shell makes of the value of a Python script. The newer toolkit hands over the value as it is.
REREAD = {
    "two words": ["two", "words"],
    "  two  ": ["two"],
    "": [],
    'say "two words"': ["say", "two words"],
    "$HOME": ["/host/home"],
    "`echo done`": ["done"],
    "t*.py": ["train.py"],
    "{x,y}": ["x", "y"],
    "[1, 2]": ["[1,", "2]"],
    "a\\b": ["ab"],
    "~/x": ["/host/home/x"],
    "世界": ["世界"],
}
# The same for a shell script, whose values the toolkit quotes, and then puts into quotes that undo it.
REREAD_OF_SHELL_SCRIPTS = {
    "two words": ["two words"],
    "": [""],
    "*;": ["*;"],
    "$HOME": ["/host/home"],
    "`echo done`": ["done"],
    "\\$HOME": ["$HOME"],
}
# Values of both that end the line: the words that the script still gets, or none, and the line's exit code.
ENDING = {
    "it's": ("train.py", None, 2),
    "(1)": ("train.py", None, 2),
    "1 # one": ("train.py", ["-a", "1"], 0),
    "1; exit 3 #": ("train.py", ["-a", "1"], 3),
    "one\ntwo": ("train.py", ["-a", "one"], 127),
    "don't": ("run.sh", None, 2),
    'say "two words"': ("run.sh", None, 2),
}
SCRIPTS = {"train.py": DUMP, "run.sh": '#!/bin/sh\nexec python train.py "$@"\n'}


@pytest.mark.parametrize(("program", "reread"), [("train.py", REREAD), ("run.sh", REREAD_OF_SHELL_SCRIPTS)])
def test_the_images_shell_reads_values_again(run: ThreeWays, program: str, reread: dict[str, list[str]]) -> None:
    named = {f"v{number:02}": value for number, value in enumerate(reread)}
    [image], [newer], [agent] = run(SCRIPTS, {"sagemaker_program": program, **named})
    assert image.words == [word for name in named for word in (f"--{name}", *reread[named[name]])]
    assert newer.words == [word for name in named for word in (f"--{name}", named[name])]
    assert agent.same_run(image) and image.exit_code == 0


@pytest.mark.few(2)
@pytest.mark.parametrize("value", ENDING)
def test_a_value_that_ends_the_shells_line_ends_it_here(run: ThreeWays, value: str) -> None:
    program, words, exit_code = ENDING[value]
    [image], [newer], [agent] = run(SCRIPTS, {"sagemaker_program": program, "a": value, "b": "1"})
    assert image.words == words
    assert f"ExitCode {exit_code} " in (image.failure or "ExitCode 0 ")
    assert agent.same_run(image)
    assert newer.words == ["-a", value, "-b", "1"]


def test_a_folder_with_a_space_changes_no_words(run: ThreeWays, tmp_path: Path) -> None:
    run.ours = tmp_path / "our own"
    [image], _, [agent] = run(SCRIPTS, {"sagemaker_program": "train.py", "a": "/opt/ml/model x", "b": "/opt/ml"})
    assert agent.words == image.words == ["-a", "/opt/ml/model", "x", "-b", "/opt/ml"]


# Entry points: what becomes of them in the image, and with the newer toolkit, which refuses what is no plain path.
PROGRAMS = {
    "./train.py": ("runs", "refused"),
    "../code/train.py": ("runs", "refused"),
    "grün.py": ("runs", "refused"),
    "my train.py": ("ExitCode 2", "refused"),
    "../train.py": ("ExitCode 2", "refused"),
    "../code/run.sh": ("runs", "refused"),
    "run it.sh": ("ExitCode 127", "refused"),
    "missing.sh": ("Framework Error", "Framework Error"),
    '""': ("ExitCode 126", "refused"),
    "7": ("Framework Error", "Framework Error"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("program", PROGRAMS)
def test_entry_points_work_and_fail_as_in_the_image(run: ThreeWays, program: str) -> None:
    files = {**SCRIPTS, "my train.py": DUMP, "grün.py": DUMP, "run it.sh": SCRIPTS["run.sh"]}
    [image], [newer], [agent] = run(files, {"sagemaker_program": program, "a": "1"})
    said = {"refused": "training entry point"}
    for seen, becomes in zip((image, newer), PROGRAMS[program], strict=True):
        assert seen.words == (["-a", "1"] if becomes == "runs" else None)
        assert said.get(becomes, becomes) in (seen.failure or "runs")
    if PROGRAMS[program][0] == "Framework Error":
        # What follows is the toolkit's own stack.
        assert agent.exit_code == image.exit_code and agent.failure and agent.failure.startswith("Framework Error")
    else:
        assert agent.same_run(image)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "hyperparameters",
    [
        pytest.param({"model_dir": "/opt/ml/model"}, id="static model_dir"),
        pytest.param({"model_dir": '"models"'}, id="model_dir elsewhere"),
        pytest.param({}, id="no model_dir"),
    ],
)
def test_a_tuning_job_gets_the_toolkits_model_dir(run: ThreeWays, hyperparameters: dict[str, str]) -> None:
    tuned = {"sagemaker_program": "train.py", "_tuning_objective_metric": "val_loss", **hyperparameters}
    [image], [newer], [agent] = run({"train.py": DUMP}, tuned)
    assert image.words and "--model_dir" in image.words
    assert agent.words == newer.words == image.words
    assert agent.environment == newer.environment == image.environment


@pytest.mark.long
def test_a_setup_py_beside_the_script_makes_all_run_it_as_a_module(run: ThreeWays) -> None:
    setup = "from setuptools import setup\nsetup(name='probe', version='1', py_modules=['train'])\n"
    # Of the name, the image takes out every `.py`, the newer toolkit the last one.
    files = {"tr.pyain.py": "", "train.py": DUMP, "setup.py": setup}
    [image], [newer], [agent] = run(files, {"sagemaker_program": "tr.pyain.py", "a": "1"})
    # Run by its name, sys.argv[0] would be that name.
    assert image.script and image.script["argv"] == ["/opt/ml/code/train.py", "-a", "1"]
    assert agent.script and agent.script["argv"] == image.script["argv"]
    assert newer.failure and "python -m tr.pyain -a 1" in newer.failure


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


@pytest.mark.few(1)
@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
def test_a_failing_script_is_reported_in_the_toolkits_words(run: ThreeWays, script: str) -> None:
    [image], [newer], [agent] = run({"train.py": script}, {"sagemaker_program": "train.py", "epochs": "2"})
    assert image.exit_code and image.failure
    assert agent == in_words_of_the_image(newer) == image


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"other.py": ""}, id="no such entry file"),
        pytest.param({"train.py": DUMP, "requirements.txt": "--no-index\nno-such-package==1\n"}, id="no such package"),
        pytest.param({"train.py": DUMP, "requirements.txt": "not a requirement\n"}, id="no requirement"),
    ],
)
def test_what_fails_before_the_script_is_reported_in_the_toolkits_words(run: ThreeWays, files: dict[str, str]) -> None:
    [image], [newer], [agent] = run(files, {"sagemaker_program": "train.py"})
    assert image.exit_code and image.failure and image.script is None
    assert agent == in_words_of_the_image(newer) == image


def test_a_killed_child_of_a_shell_script_is_reported_in_the_toolkits_words(run: ThreeWays) -> None:
    script = "#!/bin/sh\nsh -c 'kill -9 $$'\nexit $?\n"
    [image], [newer], [agent] = run({"run.sh": script}, {"sagemaker_program": "run.sh"})
    assert image.failure and "OutOfMemory" in image.failure
    assert agent == in_words_of_the_image(newer) == image


# Members of a source archive, and where they arrive in the image and with the newer toolkit; the agent unpacks none.
MEMBERS = {
    "../outside.py": ("outside.py", "code/outside.py"),
    "link": ("code/link", None),
}


@pytest.mark.parametrize(("name", "places"), MEMBERS.items())
def test_members_that_lead_elsewhere_arrive_with_the_toolkits_and_are_refused_here(
    tmp_path: Path, name: str, places: tuple[str | None, ...]
) -> None:
    archive = tmp_path / "sourcedir.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("train.py"), io.BytesIO())
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../elsewhere"
        tar.addfile(member)
    for version, place in zip((IMAGE, NEWER), places, strict=True):
        base = tmp_path / version[0]
        code = "import sys; from sagemaker_training import files; files.download_and_extract(*sys.argv[1:])"
        subprocess.run([toolkit(*version), "-c", code, archive, base / "code"], check=True, capture_output=True)
        found = {path.relative_to(base).as_posix() for path in base.rglob("*") if not path.is_dir()}
        assert found == {"code/train.py", *([place] if place else [])}
    with pytest.raises(UserError, match="only files and folders of its own"):
        unpack(archive, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_the_versions_are_those_of_the_images_list() -> None:
    listed = (Path(images.__file__).parent / "training-2.21-packages.txt").read_text(encoding="utf-8").splitlines()
    assert {f"sagemaker-training=={IMAGE[0]}", f"sagemaker-tensorflow-training=={IMAGE[1]}"} <= set(listed)


# A line whose writer pauses, a number and a letter that are cut, progress, blanks; what is written at once stays whole.
IN_PARTS = """
import sys, time
def write(text):
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
lines = b"epoch=1 val_loss=", b"0.", b"25\\n", b"  loss=1\\n", b"a\\rb\\r", b"c\\r\\n", b"Gr\\xc3", b"\\xbcn\\n"
for part in lines:
    write(part)
    time.sleep(0.4)
write(b"one\\n two\\nthree\\n")
"""
WATCHED = """
import os
from sagemaker_training import process
process.create({words!r}, [], 1, ".", dict(os.environ), True)
"""


@pytest.mark.long
def test_what_is_not_written_at_once_becomes_several_lines_as_the_toolkit_prints_them(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(IN_PARTS, encoding="utf-8")
    words = [sys.executable, "-u", "parts.py"]
    done = subprocess.run(
        [toolkit(*IMAGE), "-c", WATCHED.format(words=words)], cwd=tmp_path, capture_output=True, check=True
    )
    theirs = [line for line in done.stdout.decode().split("\n") if line]
    ours: list[str] = []
    cut: list[str] = []
    launch = Launch("host", words, tmp_path, dict(os.environ), cut=cut)
    run_processes(
        [launch],
        lambda _, __, text: ours.append(text),
        deadline=time.monotonic() + 60,
        grace=1,
        marker="no such marker",
    )
    assert [line for line in ours if line] == theirs
    assert cut == ["epoch=1 val_loss=", "0.", "a\rb", "Gr\ufffd"]
