"""The model that a custom job left: where it is, and whether the container that will serve it finds it there."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onstage.rehearsal import model_checks, operation_checks
from onstage.rehearsal.model_files import model_files
from onstage.rehearsal.terms import Terms
from onstage.report import Finding
from onstage.serving.archive import find_versions
from onstage.vertex.agent.outcome import JobResult
from onstage.vertex.agent.task import Task


def with_any_model(result: JobResult, buckets: Path, before: set[tuple[Path, int]]) -> JobResult:
    """`result` with what a job from elsewhere left in a bucket, if not in AIP_MODEL_DIR: any place can be served."""
    if any(name.endswith("saved_model.pb") for name in result.model_files):
        return result
    left = sorted(path.parent for path, _ in model_files(buckets) - before if path.name == "saved_model.pb")
    if not left:
        return result
    model = left[0].parent if left[0].name.isdigit() else left[0]
    files = sorted(file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file())
    return replace(
        result, model=model, model_files=tuple(files), elsewhere=f"gs://{model.relative_to(buckets).as_posix()}"
    )


def check_model(result: JobResult, is_flat: bool, versions: dict[int, Path], terms: Terms) -> list[Finding] | str:
    """Find the version that the container would serve; the layouts of the two containers exclude each other."""
    if result.stray_places:
        return [
            Finding(
                f"the job wrote into {', '.join(result.stray_places)}, a folder of the container that nobody keeps",
                "keep gs:// a text and use tf.io.gfile: pathlib and os.path make gs:/ of it",
            )
        ]
    found = [name for name in result.model_files if name.endswith("saved_model.pb")]
    if result.model is None or not found:
        stray = f"; it wrote {', '.join(result.stray_models)}, which nobody keeps" if result.stray_models else ""
        return [
            Finding(
                f"the job succeeded without a model in AIP_MODEL_DIR{stray}",
                f"export to os.environ['AIP_MODEL_DIR']{terms.example('src/trainer/task.py')}",
                "the job is JOB_STATE_SUCCEEDED all the same; there is nothing to upload",
            )
        ]
    if is_flat:
        versions.update({1: result.model} if "saved_model.pb" in found else {})
    else:
        numbered = find_versions(result.model)
        versions.update({number: place for number, place in numbered.items() if (place / "saved_model.pb").is_file()})
    if versions:
        model_checks.check_readable(result.model)
        place = f" in {result.elsewhere}, not in AIP_MODEL_DIR" if result.elsewhere else ""
        return f"{', '.join(found)}: {len(result.model_files)} files{place}"
    wanted = "saved_model.pb itself" if is_flat else "a numbered folder, such as 1/saved_model.pb,"
    container, layout = ("the prebuilt container", "flat") if is_flat else ("TensorFlow Serving", "versioned")
    return [
        Finding(
            f"the model is in the wrong layout: {container} wants {wanted} in AIP_MODEL_DIR; the job left "
            f"{', '.join(found)}",
            f"run the job with --model-layout={layout}, or choose the other container: serving in [vertex] of "
            "settings.toml",
            "the model is uploaded, and never deployed"
            if is_flat
            else "No versions of servable model found under base path",
        )
    ]


def check_artifact(result: JobResult, is_flat: bool, places: Sequence[Path]) -> list[Finding]:
    """Whether the model's folder has nothing else, and nothing of it is of these places of this machine."""
    expected = model_checks.SAVED_MODEL if is_flat else f"[0-9]+/{model_checks.SAVED_MODEL}"
    return [
        *model_checks.check_files(
            result.model_files,
            expected,
            "AIP_MODEL_DIR",
            "write checkpoints to AIP_CHECKPOINT_DIR, other files to AIP_TENSORBOARD_LOG_DIR",
            "every machine of the endpoint downloads it; a numbered folder would be taken for a version",
        ),
        *(model_checks.check_export(result.model, places) if result.model else ()),
    ]


def check_operations(result: JobResult, task: Task) -> list[Finding] | str:
    """Whether the version of TensorFlow that will serve the model has its operations."""
    return operation_checks.check_operations(result.model, task.server) if result.model else ""
