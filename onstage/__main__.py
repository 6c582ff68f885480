# Owned by the template.
"""`python -m rehearse`: the jobs that the clouds would run, on this machine, in seconds."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from cloud.settings import load
from rehearse.report import Report
from trainer.run import UserError, main

PLATFORMS = [
    name for name in ("sagemaker", "vertex") if Path(__file__).with_name(name).joinpath("rehearsal.py").is_file()
]
# Members that tell whose request body it is.
BODIES = {
    "sagemaker": {"TrainingJobName", "HyperParameterTuningJobName"},
    "vertex": {"jobSpec", "trialJobSpec"},
}
EPILOG = "Hyperparameters are flags of a platform's command: python -m rehearse sagemaker --epochs 1"

JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report for machines.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, epilog=EPILOG)


@app.callback(invoke_without_command=True)
def everything(context: typer.Context, json_file: JsonFile = None) -> None:
    """Rehearse this project's cloud jobs, on every platform, with no account, no network and no Docker."""
    if context.invoked_subcommand is None:
        _rehearse(PLATFORMS, [], json_file)


def _add(platform: str) -> None:
    @app.command(
        platform,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog=EPILOG,
        help=f"Rehearse the training and the endpoint of {platform}.",
    )
    def command(context: typer.Context, json_file: JsonFile = None) -> None:
        _rehearse([platform], context.args, json_file)


for _platform in PLATFORMS:
    _add(_platform)


@app.command()
def body(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A request body, as JSON.")],
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where s3:// and gs://bucket/key are bucket/key. [default: store/ beside FILE]"
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Rehearse a training or tuning request from elsewhere, such as one that an SDK sends."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"no request body in {file}: {error}") from error
    platform = next((name for name, members in BODIES.items() if members & set(content)), PLATFORMS[0])
    with Report(Console()) as report:
        _rehearsal(platform).rehearse_body(report, content, store or file.parent / "store", load())
        _finish(report, json_file)


@app.command()
def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of runs/. [default: of the last training]")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8080,
    platform: Annotated[str, typer.Option(help=f"Whose endpoint: {' or '.join(PLATFORMS)}.")] = PLATFORMS[0],
) -> None:
    """Serve a trained model on this machine as an endpoint would, until Ctrl-C."""
    from predict import newest_model
    from rehearse.serving.serve import serve as serve_folder

    if folder and not (folder / "model").is_dir():
        raise UserError(f"there is no {folder / 'model'}; name a folder of runs/")
    if platform not in PLATFORMS:
        raise UserError(f"--platform is {' or '.join(PLATFORMS)}, not {platform}")
    serve_folder(folder / "model" if folder else newest_model().parent, port, platform)


def _rehearse(platforms: list[str], hyperparameters: list[str], json_file: Path | None) -> None:
    from cloud import rehearsed
    from rehearse import both

    with Report(Console()) as report:
        found = []
        if report.run("all", "settings", lambda: found.append(load())):
            both.rehearse(report, [_rehearsal(platform) for platform in platforms], found[0], hyperparameters)
        if report.passed:
            rehearsed.note(*platforms)
        _finish(report, json_file)


def _rehearsal(platform: str) -> ModuleType:
    return importlib.import_module(f"rehearse.{platform}.rehearsal")


def _finish(report: Report, json_file: Path | None) -> None:
    report.finish(json_file)
    if not report.passed:
        raise typer.Exit(1)


if __name__ == "__main__":
    sys.exit(main(app))
