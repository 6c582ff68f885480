# Owned by the template.
"""`python -m cloud`: the jobs and endpoints that were rehearsed, in the cloud."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud import commands
from trainer.run import main

EPILOG = "Example: python -m cloud {platform} train --epochs 40"
PLATFORMS = [
    name for name in ("sagemaker", "vertex") if Path(__file__).with_name(name).joinpath("platform.py").is_file()
]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Send this project's jobs to a cloud, watch them, serve their models, and clean up.",
    epilog=EPILOG.format(platform=PLATFORMS[0]),
)
for _platform in PLATFORMS:
    app.add_typer(commands.make(_platform), name=_platform)


@app.command(epilog="Example: source <(python -m cloud completion bash), then: cloud sagemaker tr<TAB>")
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")] = "bash") -> None:
    """Print a shell's function `cloud`, which runs `python -m cloud`, and its completion."""
    print(commands.completion(shell))


def run() -> None:
    """Run one command, or complete one when a shell asks."""
    if commands.COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    app(prog_name="python -m cloud", complete_var=commands.COMPLETE_VARIABLE)


if __name__ == "__main__":
    sys.exit(main(run))
