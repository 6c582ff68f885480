"""A project in a notebook's kernel: its data as frames, its network, whole trainings, and what they exported.

`from onstage import kernel`, in a folder of the project. Each call loads `src/` anew, so that a changed model.py counts
at once, and forgets what Keras remembers of earlier networks, such as the names of their metrics. A mistake in model.py
or in the data is a CallError: one message, without a traceback. Beside `checks/model_page.py` this is the one place at
which a project's trainer is loaded into a process of ours.
"""

import contextlib
import importlib
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from onstage import flags, project, settings
from onstage.errors import StartError, UserError, is_user_error
from onstage.project import Project
from onstage.quiet import quiet_import
from onstage.returned import CallError
from onstage.source import find_data
from onstage.tables import files as kinds
from onstage.tables import frames, sample

CHANNELS = ("train", "eval")
# Of data that is no table, so many examples.
_EXAMPLES = 3
# The folder that modules were loaded from the last time.
_loaded = ""


def data(channel: str = "train", *, rows: int | None = None) -> Any:
    """The rows of "train" or "eval" as a pandas DataFrame, by the columns of model.py, nothing filled in or left out.

    Numbers are float64, categories and labels a Categorical in the order of model.py, dates datetime64, whole numbers
    Int64, all else texts; an empty field is missing. `attrs` lists the names of "targets" and "features". `rows`: so
    many at most, from places spread over the files, as a rehearsal takes them. Of data that is no table, the examples
    of its reader, which are of "eval". Raises CallError, too, for a row that does not fit model.py.
    """
    with _told():
        if channel not in CHANNELS:
            raise StartError(f"there is no channel {channel!r}, but {' and '.join(CHANNELS)}")
        home, model = _load()
        columns = importlib.import_module("trainer.columns")
        if isinstance(model.DATA, columns.Table):
            return _frame(home, model.DATA, channel, rows)
        if channel == "train":
            raise StartError('DATA is no table, and its reader has examples of eval only: kernel.data("eval")')
        importlib.import_module("trainer.reader").prepare(model.DATA, *_places(home))
        return model.DATA.examples(rows or _EXAMPLES)


def build_model(**hyperparameters: Any) -> Any:
    """The compiled Keras model with which a training begins, on the project's data. Raises CallError."""
    with _told():
        home, model = _load(forget=True)
        run, training = (importlib.import_module(f"trainer.{name}") for name in ("run", "training"))
        values, _ = run.parse_flags(model.Hyperparameters, flags.of_values(hyperparameters))
        return training.begin(run.Run(values, *_places(home), "", "", "", rows_dir=str(home.runs / "rows"))).network


def fit(**hyperparameters: Any) -> Any:
    """Train as train.py does, into a new folder of runs/, with its report.html: the trainer's Result.

    It has `metrics`, `history` (those of each epoch), `constant` (those of one answer for every row), `export_dir`,
    `request` with its `response`, the `reader` and the `network`. Raises CallError.
    """
    with _told():
        home, _ = _load(forget=True)
        file = home.root / "train.py"
        spec = importlib.util.spec_from_file_location("train", file)
        if spec is None or spec.loader is None:
            raise StartError(f"{file} is missing")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        return script.run(flags.of_values(hyperparameters))


def load(run: str | Path | None = None) -> "Exported":
    """What a training exported: the last one's, that of a folder in runs/, or of one that holds saved_model.pb.

    Raises CallError.
    """
    with _told():
        home, model = _load()
        folder = home.newest_model() if run is None else _model_of(home, Path(run))
        return Exported(folder, importlib.import_module("trainer.export").Predictor(str(folder)), model.DATA)


def predict(instances: Any, run: str | Path | None = None) -> Any:
    """`load(run).predict(instances)`: of the last training, or of that folder."""
    return load(run).predict(instances)


class Exported:
    """A model as an endpoint would serve it: loaded as TensorFlow Serving does, asked as it is asked."""

    def __init__(self, folder: Path, predictor: Any, table: Any) -> None:
        self.folder = folder
        self._predictor, self._table = predictor, table
        file = folder / "assets.extra" / "example.json"
        example = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        # A request with its answer, which the training left.
        self.request: dict[str, Any] = example.get("request", {})
        self.response: dict[str, Any] = example.get("response", {})

    def __repr__(self) -> str:
        return f"Exported({str(self.folder)!r})"

    def predict(self, instances: Any) -> Any:
        """The predictions for rows as a request has them, as a list; for rows of a frame as `data` gives it, a frame
        with a column for each target, in its own units. Raises CallError.
        """
        with _told():
            if not hasattr(instances, "columns"):
                found: list[Any] = self._predictor.predict({"instances": list(instances)})["predictions"]
                return found
            request = {"instances": frames.as_request(self._table, instances), "signature_name": "named"}
            return frames.answers(self._table, self._predictor.predict(request)["predictions"], instances.index)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A mistake that its author can mend is a CallError, which a notebook shows without a traceback."""
    try:
        yield
    except Exception as error:
        if not is_user_error(error):
            raise
        raise CallError(str(error), getattr(error, "exit_code", UserError.exit_code)) from None


def _load(*, forget: bool = False) -> tuple[Project, ModuleType]:
    """The project of the working directory and its model.py, loaded anew; `forget` what Keras knows of others."""
    global _loaded
    home = project.find()
    source = str(home.source)
    own = {path.name.removesuffix(".py") for path in home.source.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path[:] = [source, *(place for place in sys.path if place not in (source, _loaded))]
    _loaded = source
    writes = sys.dont_write_bytecode
    # Bytecode is known by its source's second: one more change in that second would not count.
    sys.dont_write_bytecode = True
    try:
        with quiet_import():
            is_new = "tensorflow" not in sys.modules
            import keras

            if is_new:
                # Where there is a prompt, TensorFlow tells more than a script's.
                logging.getLogger("tensorflow").setLevel(logging.WARNING)
            if forget:
                keras.utils.clear_session()
            model: ModuleType = importlib.import_module("trainer.run").load_model()
            importlib.import_module("trainer.training")
    finally:
        sys.dont_write_bytecode = writes
    return home, model


def _places(home: Project) -> tuple[str, str]:
    told = settings.load(home).data
    return home.locate(told.train), home.locate(told.eval)


def _model_of(home: Project, run: Path) -> Path:
    """The folder of saved_model.pb that `run` means. Raises StartError where there is none."""
    places = [
        place / inner for place in (run, home.root / run, home.runs / run) for inner in ("", "model/1", "model", "1")
    ]
    for place in places:
        if (place / "saved_model.pb").is_file():
            return place
    raise StartError(f"{run} has no model: name a folder of runs/, or one that holds saved_model.pb")


def _frame(home: Project, table: Any, channel: str, most: int | None) -> Any:
    rows = importlib.import_module("trainer.rows")
    files = find_data(home, getattr(settings.load(home).data, channel))
    own = [name for name in files if rows.is_data(name, table.delimiter) and not kinds.is_hidden(name)]
    if not own:
        raise UserError(rows.say_left_out(channel, rows.left_out(files, table.delimiter)))
    taken = sample.take(files, own, most or 0, header=table.header, delimiter=table.delimiter)
    return frames.read(table, taken.parts, [name for name in own if name in taken.parts], rows)
