"""The word of `onstage` that makes a project's notebooks at home: in Jupyter, and in git."""

from typing import Annotated

import typer

from onstage.options import Application


def add(app: Application) -> None:
    """Give the application this word."""

    @app.command(epilog="Examples:\n\nonstage notebook\n\nonstage notebook --dry-run --remove")
    def notebook(
        user: Annotated[
            bool, typer.Option("--user", help="The kernel is for all your Jupyter servers, not for this environment's.")
        ] = False,
        remove: Annotated[bool, typer.Option("--remove", help="Remove what this command has made.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    ) -> None:
        """Make a Jupyter kernel of this project's name, and let git leave out notebooks' outputs and compare cells.

        It writes into this environment, this clone's .git, and the kernel's name into notebooks that have none.
        """
        from onstage import installation

        project = installation.open_project("notebook")
        from onstage.commands import notebook as command

        command.notebook(project, user=user, remove=remove, dry_run=dry_run)
