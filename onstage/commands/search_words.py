"""The words of `onstage` about trainings here: a search, the best trial of all searches, and the page of one."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from onstage.options import Application


def add(app: Application) -> None:
    """Give the application these words."""

    @app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog="Examples:\n\nonstage tune --trials 20 --parallel 2\n\nonstage tune --epochs 10 --learning-rate 0.01",
    )
    def tune(
        context: typer.Context,
        trials: Annotated[
            int, typer.Option(min=1, help="Trials of this search in all, those of before it was stopped included.")
        ] = 10,
        parallel: Annotated[int, typer.Option(min=1, help="Trials at a time; they share the cores.")] = 1,
        timeout: Annotated[
            float | None,
            typer.Option(min=1, metavar="S", help="Seconds for all; what then runs is done again when it goes on."),
        ] = None,
        trial_timeout: Annotated[
            float, typer.Option(min=1, metavar="S", help="Seconds after which one trial has failed.")
        ] = 3600,
        strategy: Annotated[Literal["tpe", "random"], typer.Option(help="How values are chosen.")] = "tpe",
        pruner: Annotated[
            Literal["median", "hyperband", "none"],
            typer.Option(help="What stops a trial early, by the objective of its epochs."),
        ] = "median",
        seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same, with --parallel 1.")] = 0,
        name: Annotated[str, typer.Option(help="Its folder in runs/tune/: a search goes on where it is.")] = "search",
    ) -> None:
        """Search here what is tunable in model.py. Other flags are hyperparameters, and fixed; after --, any are."""
        from onstage import installation, room

        room.check()
        project = installation.open_project("tune")
        from onstage.commands import tune as command
        from onstage.search.driver import Options

        options = Options(trials, parallel, timeout or float("inf"), trial_timeout, strategy, pruner, seed, name)
        command.tune(project, context.args, options)

    @app.command(epilog="Examples:\n\nonstage report\n\nonstage report runs/tune/search")
    def report(
        folder: Annotated[
            Path | None, typer.Argument(metavar="FOLDER", help="One of runs/. [default: of the last training]")
        ] = None,
    ) -> None:
        """Open the page of a training or of a search: curves, answers, metrics, hyperparameters."""
        import webbrowser

        from onstage import installation, training_page
        from onstage.project import path_for_people

        file = training_page.find(installation.open_project().runs, folder)
        print(path_for_people(file), flush=True)
        webbrowser.open(file.resolve().as_uri())

    @app.command(epilog="Examples:\n\nonstage best\n\nonstage best vertex --deploy\n\nonstage best --train sagemaker")
    def best(
        place: Annotated[
            Literal["local", "sagemaker", "vertex"] | None,
            typer.Argument(metavar="PLACE", help="local, sagemaker or vertex. [default: all, by their last searches]"),
        ] = None,
        train: Annotated[
            Literal["local", "sagemaker", "vertex"] | None,
            typer.Option("--train", metavar="PLACE", help="Train with the best trial's flags, here or in a cloud."),
        ] = None,
        deploy: Annotated[
            bool, typer.Option("--deploy", help="Serve the best trial's model: in its cloud, or here as onstage serve.")
        ] = False,
        kind: Annotated[
            Literal["text", "json"], typer.Option("--format", metavar="KIND", help="What to print: text or json.")
        ] = "text",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what --train or --deploy would do.")] = False,
    ) -> None:
        """The best trial of the searches here and in the clouds, and its flags."""
        from onstage import installation

        project = installation.open_project()
        from onstage.commands import best as command

        command.best(project, place or "", train=train or "", deploy=deploy, as_json=kind == "json", dry_run=dry_run)
