"""Adds the package `onstage`, removes what the answers do not ask for, by one table, and prints the next steps."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

CONTEXT, CLONE, DATA_FILE = json.loads(
    r"""{{ [cookiecutter, template_folder, data_path(cookiecutter.data_file, cookiecutter.__data_folder)] | tojson }}"""
)
SAGEMAKER = bool(CONTEXT["__sagemaker"])
VERTEX = bool(CONTEXT["__vertex"])
CLASSIFICATION = CONTEXT["problem"] == "classification"
NOTEBOOKS = CONTEXT["notebooks"] == "yes"

# Path in the project, or a pattern: whether the answers ask for it.
WANTED = {
    "src/sagemaker_entry.py": SAGEMAKER,
    "src/trainer/task.py": VERTEX,
    "setup.py": VERTEX,
    "MANIFEST.in": VERTEX,
    "notebooks/01_explore_and_train.ipynb": NOTEBOOKS,
    "notebooks/02_sagemaker.ipynb": NOTEBOOKS and SAGEMAKER,
    "notebooks/03_vertex_ai.ipynb": NOTEBOOKS and VERTEX,
    "environment.yml": CONTEXT["environment"] == "conda",
    # The example's rows are not to be trained on together with the user's own.
    "data/*/iris.csv": CLASSIFICATION and not DATA_FILE,
    "data/*/penguins.csv": not CLASSIFICATION and not DATA_FILE,
    ".github/workflows/ci.yml": CONTEXT["ci"] == "github",
    ".github/workflows/train.yml": CONTEXT["ci"] == "github",
    ".gitlab-ci.yml": CONTEXT["ci"] == "gitlab",
}

STEPS = {
    "conda": ["conda env create -f environment.yml", "conda activate {slug}"],
    "venv": ["python -m venv .venv", ". .venv/bin/activate", "pip install -r requirements.txt"],
    "uv": ["uv venv --python 3.12", ". .venv/bin/activate", "uv pip install -r requirements.txt"],
}


def add_package(project: Path) -> bool:
    """Write the wheel of `onstage` and name its version in requirements.txt; False if that file does not name it."""
    # The template's folder may be read-only, and is not the project's to write into.
    sys.dont_write_bytecode = True
    sys.path.insert(0, CLONE)
    import wheel_builder

    version = wheel_builder.add_wheel(project / "wheels")
    file = project / "requirements.txt"
    # The version of the placeholder, or, where an older file was kept, of that.
    text, count = re.subn(r"(?m)^(onstage\[[a-z,]+\]==)\S+", rf"\g<1>{version}", file.read_text(encoding="utf-8"))
    # A read-only clone makes read-only files.
    file.chmod(file.stat().st_mode | stat.S_IWUSR)
    file.write_text(text, encoding="utf-8", newline="\n")
    return count == 1


def prune(project: Path) -> None:
    """Remove every file of WANTED that is not wanted, and the folders that this leaves empty, but no file of a user."""
    for path in (path for name, wanted in WANTED.items() if not wanted for path in sorted(project.glob(name))):
        path.unlink()
        for folder in path.parents:
            if folder == project or any(folder.iterdir()):
                break
            folder.rmdir()


def own_data(file: str) -> list[str]:
    """The commands that describe the user's own CSV file in model.py and make train and eval of it."""
    if not file:
        return []
    quoted = subprocess.list2cmdline([file]) if os.name == "nt" else shlex.quote(file)
    return [f"onstage columns {quoted} --write", f"onstage split {quoted}"]


def main() -> int:
    """Add and prune in the new project, the working directory of a hook, and say what to type next."""
    prune(Path.cwd())
    if not add_package(Path.cwd()):
        print("ERROR: requirements.txt was kept, and has no line of onstage: render without -s", file=sys.stderr)
        return 1
    slug = CONTEXT["project_slug"]
    install = [step.format(slug=slug) for step in STEPS[CONTEXT["environment"]]]
    steps = [f"cd {slug}", *install, *own_data(DATA_FILE), "python train.py", "onstage rehearse"]
    print("\nNext:\n" + "\n".join(f"  {step}" for step in steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
