"""The commands of `onstage PLATFORM`, the same for every platform. Each imports its needs when it runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onstage.errors import StartError
from onstage.options import Application

if TYPE_CHECKING:
    from onstage.cloud import Search
    from onstage.platform import Platform
    from onstage.settings import Settings

# A platform's name is also its folder in this package, its section of settings.toml and its extra.
PLATFORMS = ("sagemaker", "vertex")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say or print what would be sent, and send nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Send it and return; its log can be followed later.")]
Job = Annotated[str | None, typer.Argument(metavar="JOB", help="A job's name. [default: the last one sent]")]
OfJob = Annotated[str | None, typer.Option("--job", help="The job that trained it. [default: the last one sent]")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="[default: the last one made]")]
_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}
_TITLES = {"sagemaker": "Amazon SageMaker", "vertex": "Google Vertex AI"}
# What the requests' spaces know, which would have to be imported for every command.
_TRIALS = {"sagemaker": "10; with grid all combinations", "vertex": "10"}
_STRATEGIES = {"sagemaker": "bayesian, random, grid or hyperband", "vertex": "bayesian, random or grid"}
_STOPPINGS = {
    "sagemaker": "Of trials that fall behind: auto or off",
    "vertex": "Of trials that fall behind: median, decay-curve or off",
}


def make(platform: str) -> typer.Typer:
    """The commands of one platform."""
    app = Application(
        no_args_is_help=True,
        help=f"Train and serve on {_TITLES[platform]}, with the settings in settings.toml.",
        epilog=_example(platform, "setup", "upload", "train --epochs 40", "deploy", "predict request.json", "delete"),
    )

    @app.command(epilog=_example(platform, "setup", "setup --create --dry-run", "setup --write infra"))
    def setup(
        create: Annotated[
            bool, typer.Option("--create", help="Create the bucket and the identity of the jobs.")
        ] = False,
        write: Annotated[
            Path | None, typer.Option("--write", metavar="DIR", help="Write what makes them, for an administrator.")
        ] = None,
        dry_run: DryRun = False,
    ) -> None:
        """What is missing in the cloud account, and the permissions to ask for. Changes nothing without --create."""
        from onstage.commands import accounts

        connected, settings = _connect_with_settings(platform)
        accounts.setup(connected, settings.empty(platform), create=create, write=write, dry_run=dry_run)

    @app.command(epilog=_example(platform, "upload --dry-run", "upload --create-bucket", "upload --delete"))
    def upload(
        create_bucket: Annotated[
            bool, typer.Option("--create-bucket", help="Make the bucket first, private, in the job's region.")
        ] = False,
        delete: Annotated[
            bool, typer.Option("--delete", help="Remove what only the bucket has of the data, after a question.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        dry_run: DryRun = False,
    ) -> None:
        """Send the data of settings.toml to the bucket: what is not there yet. Without --delete it deletes nothing."""
        from onstage.commands import uploads

        connected, settings = _connect_with_settings(platform)
        uploads.upload(connected, settings, dry_run=dry_run, create_bucket=create_bucket, delete=delete, yes=yes)

    @app.command(context_settings=_FLAGS, epilog=_example(platform, "train --epochs 40", "train --dry-run > body.json"))
    def train(context: typer.Context, dry_run: DryRun = False, no_wait: NoWait = False) -> None:
        """Train in the cloud. Other flags are hyperparameters, as of train.py; after --, any are."""
        submit(platform, context.args, None, dry_run=dry_run, wait=not no_wait)

    @app.command(context_settings=_FLAGS, epilog=_example(platform, "tune --trials 20 --parallel 4 --epochs 40"))
    def tune(
        context: typer.Context,
        trials: Annotated[
            int | None, typer.Option(min=1, help=f"Trainings in all. [default: {_TRIALS[platform]}]")
        ] = None,
        parallel: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 2,
        strategy: Annotated[
            str, typer.Option(metavar="NAME", help=f"{_STRATEGIES[platform]}. [default: bayesian]")
        ] = "",
        stopping: Annotated[
            str,
            typer.Option("--early-stopping", metavar="NAME", help=f"{_STOPPINGS[platform]}. [default: off]"),
        ] = "",
        dry_run: DryRun = False,
        no_wait: NoWait = False,
    ) -> None:
        """Search hyperparameters in the cloud: those that are tunable in model.py, but for what other flags fix."""
        from onstage.cloud import Search

        submit(platform, context.args, Search(trials, parallel, strategy, stopping), dry_run=dry_run, wait=not no_wait)

    @app.command(epilog=_example(platform, "status", "status JOB"))
    def status(job: Job = None) -> None:
        """What a job or an endpoint does. Without a name: the last job, and all that costs money now."""
        from onstage.commands import jobs

        jobs.print_status(_connect(platform), job)

    @app.command(epilog=_example(platform, "logs --follow", "logs JOB"))
    def logs(
        job: Job = None, follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False
    ) -> None:
        """The log of a job."""
        from onstage.commands import jobs

        jobs.print_log(_connect(platform), job, follow=follow)

    @app.command(epilog=_example(platform, "stop", "stop JOB"))
    def stop(job: Job = None, dry_run: DryRun = False) -> None:
        """End a job."""
        from onstage.commands import jobs

        jobs.stop(_connect(platform), job, dry_run=dry_run)

    @app.command(epilog=_example(platform, "deploy", "deploy JOB --endpoint iris"))
    def deploy(
        job: Job = None,
        endpoint: Annotated[str | None, typer.Option("--endpoint", help="Its name. [default: a new one]")] = None,
        dry_run: DryRun = False,
    ) -> None:
        """Serve the model of a job, and try it. An endpoint costs money until it is deleted."""
        from onstage.commands import endpoints

        endpoints.deploy(_connect(platform), job, endpoint, dry_run=dry_run)

    @app.command(epilog=_example(platform, "predict request.json", "predict - < request.json"))
    def predict(
        file: Annotated[str, typer.Argument(metavar="FILE", help='{"instances": [...]}, or - for standard input.')],
        endpoint: Endpoint = None,
    ) -> None:
        """Ask an endpoint for predictions."""
        from onstage.commands import endpoints

        endpoints.predict(_connect(platform), file, endpoint)

    @app.command(epilog=_example(platform, "batch rows.jsonl", "batch rows.jsonl --job JOB"))
    def batch(
        source: Annotated[
            str,
            typer.Argument(metavar="FILE", help="One row a line, as JSON; or a folder's URI. [default: [batch] rows]"),
        ] = "",
        job: OfJob = None,
        dry_run: DryRun = False,
        no_wait: NoWait = False,
    ) -> None:
        """Predict many rows, without an endpoint; their answers come with the [batch] key of settings.toml."""
        from onstage.commands import batches

        batches.batch(_connect(platform), source, job, dry_run=dry_run, wait=not no_wait)

    @app.command(epilog=_example(platform, "delete", "delete ENDPOINT"))
    def delete(
        endpoint: Annotated[
            str | None, typer.Argument(metavar="ENDPOINT", help="Its name. [default: the last one made]")
        ] = None,
        dry_run: DryRun = False,
    ) -> None:
        """Remove an endpoint with all that was made for it. Data, jobs and trained models stay."""
        from onstage.commands import endpoints

        endpoints.delete(_connect(platform), endpoint, dry_run=dry_run)

    return app


def _connect(platform: str) -> "Platform":
    return _connect_with_settings(platform)[0]


def _connect_with_settings(platform: str) -> "tuple[Platform, Settings]":
    from onstage import installation
    from onstage.platform import connect
    from onstage.settings import load

    settings = load(installation.open_project(platform))
    return connect(platform, settings), settings


def submit(platform: str, argv: Sequence[str], search: "Search | None", *, dry_run: bool, wait: bool) -> None:
    """Send a training job with the flags `argv`, or with `search` a tuning job."""
    import importlib

    from onstage import installation
    from onstage.commands import jobs
    from onstage.platform import connect
    from onstage.settings import load

    settings = load(installation.open_project(platform))
    if empty := settings.empty(platform):
        names = f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'}"
        setup = f"onstage {platform} setup says what is there, setup --create makes it"
        if not dry_run:
            raise StartError(f"settings.toml: [{platform}] {names} empty, and a job needs them: {setup}")
        print(f"settings.toml: [{platform}] {names} empty, and made up here: {setup}", file=sys.stderr, flush=True)
        settings = importlib.import_module(f"onstage.{platform}.agent.rehearsal").filled(settings)
    jobs.submit(connect(platform, settings), argv, search, dry_run=dry_run, wait=wait)


def _example(platform: str, *commands: str) -> str:
    # A blank line apart: help text joins the lines of a paragraph.
    return "Examples:\n\n" + "\n\n".join(f"onstage {platform} {one}" for one in commands)
