"""`onstage`: the one command. Whatever is slow to import, or belongs to a project, waits until a command needs it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from onstage.commands import application, notebook_words, rehearsal_words, search_words, table_words
from onstage.commands.application import PLATFORMS
from onstage.errors import StartError, main
from onstage.options import PORT, Application

app = Application(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Rehearse this project's cloud jobs on this machine; then send them, watch them, serve their models.",
    epilog="Example: onstage rehearse",
)
for _platform in PLATFORMS:
    app.add_typer(application.make(_platform), name=_platform)
rehearsal_words.add(app)


@app.command(epilog="Examples:\n\nonstage serve\n\nonstage serve runs/long --port 8500")
def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of runs/. [default: of the last training]")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = PORT,
    platform: Annotated[
        str, typer.Option(help="Whose endpoint: sagemaker or vertex. [default: the project's first]")
    ] = "",
) -> None:
    """Serve a trained model on this machine as an endpoint would, until Ctrl-C."""
    from onstage import installation, room
    from onstage.serving.serve import serve as serve_folder
    from onstage.settings import load

    room.check()
    project = installation.open_project()
    if folder and not (folder / "model").is_dir():
        raise StartError(f"there is no {folder / 'model'}; name a folder of runs/")
    chosen = platform or project.platforms[0]
    if chosen not in PLATFORMS:
        raise StartError(f"--platform is {' or '.join(PLATFORMS)}, not {platform}")
    if chosen not in project.platforms:
        raise StartError(f"--platform {chosen}: this project runs on {' and '.join(project.platforms)}")
    place = folder / "model" if folder else project.newest_model().parent
    serve_folder(place, port, chosen, load(project))


table_words.add(app)
search_words.add(app)
notebook_words.add(app)


@app.command(epilog="Examples:\n\nonstage settings\n\nonstage settings vertex")
def settings(
    section: Annotated[str, typer.Argument(metavar="SECTION", help="Such as vertex. [default: all]")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="As the page docs/settings.md.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="As a JSON schema for editors.")] = False,
) -> None:
    """Every key of settings.toml with its type, its default and what it means. Works outside of a project, too."""
    import shutil

    from onstage import settings_page

    if schema:
        import json

        from onstage import settings_schema

        print(json.dumps(settings_schema.schema(), indent=2), flush=True)
        return
    # A log gets a sentence as one line, which can be searched.
    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else None
    print(settings_page.markdown(section) if markdown else settings_page.text(section, width), flush=True)


def run() -> None:
    """The console script."""
    sys.exit(main(lambda: app(prog_name="onstage")))
