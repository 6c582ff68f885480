"""The words of `onstage` about files of rows: what their columns are, train and eval of them, shards."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from onstage.errors import StartError
from onstage.options import Application

_words: list[tuple[Callable[..., None], dict[str, Any]]] = []


def add(app: Application) -> None:
    """Give the application these words."""
    for function, options in _words:
        app.command(**options)(function)


def _word(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def note(function: Callable[..., None]) -> Callable[..., None]:
        _words.append((function, options))
        return function

    return note


@_word(
    epilog="Examples:\n\nonstage columns films.csv\n\nonstage columns films.csv --target price --write",
)
def columns(
    places: Annotated[
        list[Path], typer.Argument(metavar="FILE_OR_FOLDER...", help="CSV files of one table, or folders of them.")
    ],
    target: Annotated[
        str, typer.Option(metavar="COLUMN", help="What is predicted; otherwise a guess, which is said.")
    ] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Put it into src/trainer/model.py, unless you have changed it by hand.")
    ] = False,
) -> None:
    """Say what the columns of CSV files are, as the Table(...) of model.py. Reads all rows; sends nothing."""
    from onstage import installation
    from onstage.commands.columns import columns as find_columns

    find_columns(installation.open_project_if_any(), places, target, write=write)


@_word(
    epilog="Examples:\n\nonstage split films.csv\n\nonstage split visits.csv --by patient\n\n"
    "onstage split sales.csv --time sold --eval 0.1"
)
def split(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file with all rows.")],
    share: Annotated[float, typer.Option("--eval", metavar="SHARE", help="Of the rows, for eval.")] = 0.2,
    seed: Annotated[int, typer.Option(help="The same seed splits the same way.")] = 0,
    target: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Its labels have the same shares in both; otherwise model.py's."),
    ] = "",
    by: Annotated[
        str, typer.Option(metavar="COLUMN", help="Rows of one value, such as a patient's, stay together.")
    ] = "",
    moment: Annotated[
        str, typer.Option("--time", metavar="COLUMN", help="A date or a number: the latest rows are eval.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Move what train and eval have to a folder beside them.")
    ] = False,
) -> None:
    """Write one CSV file as data/train and data/eval, or where settings.toml says. Rows stay as they are."""
    from onstage import installation
    from onstage.commands.split import Wish
    from onstage.commands.split import split as split_file

    if not 0 < share < 1:
        raise StartError(f"--eval {share:g}: a share of the rows, between 0 and 1")
    split_file(installation.open_project(), file, Wish(share, seed, target, by, moment), replace=replace)


@_word(
    epilog="Examples:\n\nonstage convert data/train --to shards/train\n\nonstage convert all.csv.gz --to shards --gzip"
)
def convert(
    places: Annotated[list[Path], typer.Argument(metavar="FILE_OR_FOLDER...", help="CSV files, or folders of them.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the shards are written.")],
    packed: Annotated[bool, typer.Option("--gzip", help="Pack the shards: *.tfrecord.gz.")] = False,
    rows: Annotated[
        int, typer.Option("--rows-per-shard", metavar="N", min=1, help="Rows of a shard, but for a file's last one.")
    ] = 100_000,
) -> None:
    """Write CSV files as TFRecord shards of tf.train.Example, by the columns of model.py. A second run goes on."""
    from onstage import installation
    from onstage.commands.convert import convert as convert_files

    convert_files(installation.open_project(), places, to, packed=packed, rows=rows)
