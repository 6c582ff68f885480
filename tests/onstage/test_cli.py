"""The command line: what cannot start, what messages tell to type, what help imports."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from onstage.cli import app
from onstage.commands.application import PLATFORMS
from onstage.commands.rehearsal_words import _split
from tests.onstage import small
from tests.onstage.small import ROOT, deep, forked, onstage, refusal

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
COMMANDS: Any = typer.main.get_command(app)
HEAVY = ("boto3", "botocore", "google", "tensorflow", "keras", "numpy", "httpx", "pydantic", "packaging")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small.write(tmp_path / "project")


def test_a_platform_that_there_is_not_is_one_line(project: Path) -> None:
    assert refusal(forked("rehearse", "nowhere", folder=project)) == (
        "rehearse nowhere: a platform is sagemaker or vertex, hyperparameters are flags"
    )
    assert refusal(forked("rehearse", "sagemaker", "vertex", folder=project)) == (
        "rehearse sagemaker vertex: one platform, or none for all that the project runs on"
    )
    assert refusal(forked("rehearse", "sagemkaer", "--epochs", "1", folder=project)).startswith("rehearse sagemkaer: ")


@pytest.mark.parametrize(
    ("words", "platforms"),
    [
        (("rehearse", "vertex"), {"project", "vertex"}),
        (("rehearse",), {"project", "sagemaker", "vertex"}),
        (("rehearse", "--epochs", "1"), {"project", "sagemaker", "vertex"}),
        (("rehearse", "--epochs=1"), {"project", "sagemaker", "vertex"}),
        (("rehearse", "sagemaker", "--epochs", "1"), {"project", "sagemaker"}),
    ],
)
def test_without_a_platform_all_are_rehearsed(project: Path, words: tuple[str, ...], platforms: set[str]) -> None:
    done = forked(*words, "--json", "report.json", folder=project)
    # There is no model.py, which the first cheap checks say.
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    assert {check["platform"] for check in report["checks"]} == platforms


@pytest.mark.parametrize(
    "words",
    [
        ("rehearse",), ("rehearse", "--epochs", "1"), ("rehearse", "vertex"), ("serve",),
        ("sagemaker", "status"), ("vertex", "train", "--epochs", "1", "--dry-run"),
    ],
)  # fmt: skip
def test_outside_of_a_project_is_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert refusal(forked(*words, folder=tmp_path)).startswith(f"no project here: neither {tmp_path} nor a folder")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("settings",), ("vertex", "train", "--help")])
def test_some_commands_work_outside_of_a_project(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = forked(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_folder_without_a_model_is_not_served(project: Path) -> None:
    (project / "runs" / "first").mkdir(parents=True)
    assert refusal(forked("serve", "runs/first", folder=project)) == (
        f"there is no {Path('runs', 'first', 'model')}; name a folder of runs/"
    )
    assert refusal(forked("serve", folder=deep(project))).startswith("there is no trained model in runs/; train one: ")
    (project / "runs" / "first" / "model").mkdir()
    wrong = refusal(forked("serve", "runs/first", "--platform", "azure", folder=project))
    assert wrong == "--platform is sagemaker or vertex, not azure"
    (project / "src" / "trainer" / "task.py").unlink()
    other = refusal(forked("serve", "runs/first", "--platform", "vertex", folder=project))
    assert other == "--platform vertex: this project runs on sagemaker"


@pytest.mark.parametrize(
    ("platform", "empty"), [("sagemaker", "bucket and role are empty"), ("vertex", "project and bucket are empty")]
)
def test_all_settings_that_a_job_lacks_are_named_at_once(project: Path, platform: str, empty: str) -> None:
    said = refusal(forked(platform, "tune", folder=project))
    assert said.startswith(f"settings.toml: [{platform}] {empty}, and a job needs them: onstage {platform} setup says")


MISTAKES = {
    "regoin": ("region = ", "regoin = ", "[vertex] regoin is not known; did you mean region?"),
    "no section": ("[vertex]", "[vertex]\nname = 3\n[vortex]", "[vortex] is not known; did you mean vertex?"),
    "no TOML": ("[vertex]", "[vertex", "cannot be read"),
}


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES.values(), ids=MISTAKES)
def test_broken_settings_stop_a_cloud_command_and_fail_a_rehearsal(
    project: Path, old: str, new: str, said: str
) -> None:
    file = project / "settings.toml"
    head, _, tail = file.read_text(encoding="utf-8").rpartition(old)
    file.write_text(f"{head}{new}{tail}", encoding="utf-8")
    (project / "x.json").write_text('{"jobSpec": {}}', encoding="utf-8")
    cloud = forked("vertex", "status", folder=project)
    assert (cloud.returncode, cloud.stdout) == (2, "")
    assert cloud.stderr.startswith("error: settings.toml")
    assert said in cloud.stderr
    for words in (("rehearse", "vertex"), ("body", "x.json")):
        local = forked(*words, folder=project)
        assert (local.returncode, local.stderr) == (1, "")
        assert re.match(r"project\.settings +.* FAILED\n    settings\.toml", local.stdout)
        assert said in local.stdout


def test_one_mistake_in_the_settings_is_one_line(project: Path) -> None:
    file = project / "settings.toml"
    file.write_text(f"{small.SETTINGS}timeout = 0\n", encoding="utf-8")
    said = "settings.toml: [vertex] timeout should be greater than or equal to 1, not 0"
    assert refusal(forked("vertex", "status", folder=deep(project))) == said
    file.write_text(f"{small.SETTINGS}timeout = 1\n", encoding="utf-8")
    assert forked("vertex", "train", "--dry-run", folder=project).returncode == 1


def test_a_platform_without_its_section_is_named(project: Path) -> None:
    file = project / "settings.toml"
    file.write_text(small.SETTINGS.partition("[vertex]")[0], encoding="utf-8")
    said = "settings.toml has no section [vertex]"
    assert refusal(forked("vertex", "status", folder=project)) == said
    for words in (("rehearse", "vertex"), ("rehearse",)):
        local = forked(*words, folder=project)
        assert (local.returncode, local.stderr) == (1, "")
        assert said in local.stdout
    assert said not in forked("rehearse", "sagemaker", folder=project).stdout


def test_the_projects_folder_stays_out_of_standard_output(project: Path) -> None:
    for folder, said in ((project, ""), (deep(project), f"project: {project}\n")):
        done = forked("vertex", "train", "--dry-run", folder=folder)
        # The report of the checks is there, too: standard output has the body, and none is sent.
        assert (done.stdout, done.stderr[: len(said)]) == ("", said)
        assert ("project: " in done.stderr) == bool(said)


def test_the_module_and_the_script_are_one(tmp_path: Path) -> None:
    script = shutil.which("onstage", path=str(Path(sys.executable).parent))
    assert script
    for words in (["--version"], ["rehearse", "nowhere"], ["sagemaker", "trian"], ["--help"]):
        done = subprocess.run([script, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        module = onstage(*words, folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (module.returncode, module.stdout, module.stderr)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("onstage sagem", ["sagemaker"]),
        ("onstage se", ["serve", "settings"]),
        ("onstage sagemaker dep", ["deploy"]),
        ("onstage sagemaker train --dr", ["--dry-run"]),
    ],
)
def test_a_shell_completes_commands_and_options(tmp_path: Path, words: str, completed: list[str]) -> None:
    pressed = {"_ONSTAGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert onstage(folder=tmp_path, environment=pressed).stdout.split() == completed


@pytest.mark.parametrize("words", [["--help"], ["rehearse", "--help"], ["settings", "--help"],
                                   ["sagemaker", "train", "--help"], ["--version"]])  # fmt: skip
def test_help_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys; from onstage.cli import app\n"
        f"try: app({words})\n"
        "except SystemExit: pass\n"
        f"print('heavy:', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = small.run("-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_no_message_names_the_package_to_pip() -> None:
    for file in [*sources(ROOT / "onstage"), *sources(TEMPLATE)]:
        assert not re.search(r"pip install (-\S+ )*[\"']?onstage", file.read_text(encoding="utf-8")), file


def test_the_commands_that_are_looked_for_are_found() -> None:
    assert unknown("onstage sagemaker upload --create-bucket") is None
    assert unknown("onstage {} upload") is None
    assert unknown("onstage sagemaker setup|upload|...") is None
    for wrong in (
        "onstage reherse",
        "onstage {} uplaod",
        "onstage vertex upload --create",
        "onstage sagemaker up|train",
    ):
        assert unknown(wrong) is not None
    assert len(list(commands(ROOT / "onstage"))) > 40
    assert len(list(commands(TEMPLATE))) > 10


@pytest.mark.parametrize("place", [ROOT / "onstage", TEMPLATE, ROOT / "README.md", ROOT / "docs", ROOT / "hooks"])
def test_every_command_that_one_is_told_to_type_is_one(place: Path) -> None:
    wrong = {f"{file.relative_to(ROOT)}: {text}": why for file, text in commands(place) if (why := unknown(text))}
    assert not wrong


def sources(place: Path) -> list[Path]:
    """The text files of a folder, or the file."""
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return [file for file in files if file.suffix in (".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".sh")]


def commands(place: Path) -> Iterator[tuple[Path, str]]:
    """What begins with `onstage WORD`: in Python's texts ({} for what they fill in), else in what is marked as code."""
    for file in sources(place):
        content = re.sub(r"\{%.*?%\}", "", file.read_text(encoding="utf-8"))
        content = re.sub(r"\{\{.*?\}\}", "0", content)
        if file.suffix == ".py":
            texts = list(_texts(ast.parse(content)))
        else:
            lines = [line for block in re.findall(r"(?s)```.*?```", content) for line in block.splitlines()]
            texts = [
                *re.findall(r"`(onstage [^`]*)`", content),
                *(line for line in lines if line.startswith("onstage ")),
            ]
        for text in texts:
            for found in re.finditer(r"(?<!from )\bonstage [a-z{][^\n`]*", text):
                yield file, found[0]


def _texts(tree: ast.AST) -> Iterator[str]:
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts.update(id(part) for part in ast.walk(node))
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "command":
            # commands.jobs.command makes the text of its second argument.
            name = node.args[1]
            yield f"onstage {{}} {name.value if isinstance(name, ast.Constant) else '{}'}"


def unknown(text: str) -> str | None:
    """Why `onstage ...` at the beginning of a text is no command; None when it is one."""
    # What stands in brackets, after a comma or a colon is no word of the command.
    words = re.split(r"[,;:()]|(?<!\.)\.(?=\s|$)", text)[0].split()[1:]
    found = [COMMANDS]
    while words and hasattr(found[0], "commands"):
        names = words.pop(0).split("|")
        if names[-1] == "...":
            names.pop()
        places = [COMMANDS.commands[one] for one in PLATFORMS] if names == ["{}"] and found == [COMMANDS] else None
        if names == ["{}"] and places is None:
            return None
        missing = [name for name in names if name != "{}" and name not in found[0].commands]
        if missing:
            return f"{' '.join(missing)} is no command"
        found = places or [found[0].commands[name] for name in names]
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    for command in found:
        free = command.context_settings.get("ignore_unknown_options")
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for flag in flags:
            if flag not in known and not free:
                return f"{command.name} has no {flag}"
    return None


@pytest.mark.parametrize(
    ("words", "split"),
    [
        (["--epochs", "1", "vertex"], ("vertex", ["--epochs", "1"])),
        (["--seed", "1", "--epochs=1", "vertex"], ("vertex", ["--seed", "1", "--epochs=1"])),
        (["vertex", "--epochs", "1"], ("vertex", ["--epochs", "1"])),
        (["--epochs", "1", "--name", "vertex"], ("", ["--epochs", "1", "--name", "vertex"])),
    ],
)
def test_a_platform_may_stand_after_the_flags_and_a_value_stays_one(
    words: list[str], split: tuple[str, list[str]]
) -> None:
    assert _split(words) == split
