"""Removes what the answers do not ask for, by one table, and prints the next steps."""

import json
import sys
from pathlib import Path

CONTEXT = json.loads(r"""{{ cookiecutter | tojson }}""")
SAGEMAKER = bool(CONTEXT["__sagemaker"])
VERTEX = bool(CONTEXT["__vertex"])

# fmt: off
CLOUD_SAGEMAKER = (
    "__init__.py", "accounts.py", "client.py", "contents.py", "endpoints.py", "errors.py", "images.json", "images.py",
    "jobs.py", "locations.py", "platform.py", "policies.py", "refusal.py", "regions.py", "requests.py", "rules.py",
    "scaling.py", "storage.py", "training-2.21-packages.txt", "transfers.py", "trials.py", "validate.py",
)
REHEARSE_SAGEMAKER = (
    "__init__.py", "agent.py", "drivers.py", "failures.py", "job.py", "layout.py", "outcome.py", "rehearsal.py",
    "request_forms.py", "toolkit.py",
)
CLOUD_VERTEX = (
    "__init__.py", "accounts.py", "client.py", "endpoints.py", "errors.py", "images.json", "images.py", "jobs.py",
    "locations.py", "logs.py", "names.py", "package.py", "places.py", "platform.py", "requests.py", "roles.py",
    "rules.py", "schema.json", "setup.py", "storage.py", "training-2.21-packages.txt", "transfers.py", "trials.py",
    "validate.py",
)
REHEARSE_VERTEX = (
    "__init__.py", "agent.py", "gcs_checks.py", "gcs_objects.py", "gcs_proxy.py", "gcs_server.py", "job.py",
    "outcome.py", "package_checks.py", "rehearsal.py", "replicas.py", "request_forms.py",
)
# fmt: on

# Path in the project: whether the answers ask for it.
WANTED = {
    "src/sagemaker_entry.py": SAGEMAKER,
    **{f"cloud/sagemaker/{name}": SAGEMAKER for name in CLOUD_SAGEMAKER},
    **{f"rehearse/sagemaker/{name}": SAGEMAKER for name in REHEARSE_SAGEMAKER},
    "rehearse/serving/model_server/sagemaker_front.py": SAGEMAKER,
    "rehearse/recorded_s3.py": SAGEMAKER,
    "rehearse/sdk_recorder.py": SAGEMAKER,
    "infra/sagemaker.yaml": SAGEMAKER,
    "infra/vertex.sh": VERTEX,
    "sdk_example.py": bool(CONTEXT["__sagemaker_sdk"]),
    **{f"cloud/vertex/{name}": VERTEX for name in CLOUD_VERTEX},
    **{f"rehearse/vertex/{name}": VERTEX for name in REHEARSE_VERTEX},
    "rehearse/serving/model_server/vertex_front.py": VERTEX,
    "src/trainer/task.py": VERTEX,
    "setup.py": VERTEX,
    "MANIFEST.in": VERTEX,
    "environment.yml": CONTEXT["environment"] == "conda",
    "data/train/iris.csv": CONTEXT["problem"] == "classification",
    "data/eval/iris.csv": CONTEXT["problem"] == "classification",
    "data/train/penguins.csv": CONTEXT["problem"] == "regression",
    "data/eval/penguins.csv": CONTEXT["problem"] == "regression",
    ".github/workflows/ci.yml": CONTEXT["ci"] == "github",
    ".gitlab-ci.yml": CONTEXT["ci"] == "gitlab",
}

STEPS = {
    "conda": ["conda env create -f environment.yml", "conda activate {slug}"],
    "venv": ["python -m venv .venv", ". .venv/bin/activate", "pip install -r requirements.txt"],
}


def prune(project: Path) -> None:
    """Remove every file of WANTED that is not wanted, and the folders that this leaves empty, but no file of a user."""
    for path in (project / name for name, wanted in WANTED.items() if not wanted):
        path.unlink()
        for folder in path.parents:
            if folder == project or any(folder.iterdir()):
                break
            folder.rmdir()


def main() -> int:
    """Prune the new project, the working directory of a hook, and say what to type next."""
    prune(Path.cwd())
    slug = CONTEXT["project_slug"]
    steps = [f"cd {slug}", *STEPS[CONTEXT["environment"]], "python train.py", "python -m rehearse"]
    print("\nNext:\n" + "\n".join(f"  {step.format(slug=slug)}" for step in steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
