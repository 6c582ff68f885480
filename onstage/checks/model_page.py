"""Reads `model.py` without TensorFlow, in milliseconds: its columns, hyperparameters and objective.

The one place at which a project's trainer is loaded into this process. Modules that are neither the standard library's
nor the project's are stood in for by objects that accept everything. What was loaded is taken out of `sys.modules`
again, so that another project can be read after it.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.checks import loggers
from onstage.errors import UserError, is_user_error
from onstage.project import Project
from onstage.quiet import quiet_import
from onstage.tables import files as kinds


@dataclass(frozen=True)
class ModelPage:
    """What `model.py` says, read with the trainer's own code: the project's modules by their names.

    Mistakes that the trainer names are raised as UserError.
    """

    project: Project
    modules: Mapping[str, types.ModuleType]

    @property
    def objective(self) -> Any:
        """OBJECTIVE: what tuning looks at, with `metric` and `goal`."""
        return self.modules["trainer.model"].OBJECTIVE

    @property
    def hyperparameters(self) -> type:
        """The dataclass Hyperparameters."""
        return self.modules["trainer.model"].Hyperparameters

    @property
    def is_table(self) -> bool:
        """Whether DATA is a table; other data has a reader of its own."""
        return isinstance(self._data, self.modules["trainer.columns"].Table)

    @property
    def inputs(self) -> list[str]:
        """The names of the model's inputs in the order of model.py; none for data that is no table."""
        return [column.key for column in self._data.features] if self.is_table else []

    def parse_flags(self, argv: Sequence[str]) -> Any:
        """Hyperparameters of a command line."""
        with self._trainer():
            return self.modules["trainer.run"].parse_flags(self.hyperparameters, argv)[0]

    @property
    def target(self) -> str:
        """The name of the table's target, or of all of them."""
        return ", ".join(target.name for target in self._data.targets)

    @property
    def has_header(self) -> bool:
        """Whether the table's files begin with a header."""
        return self._data.header

    @property
    def table(self) -> Any:
        """DATA of a project of which `is_table` holds: its columns, delimiter, and whether files have a header."""
        return self._data

    def columns_of(self, name: str, file: Path) -> list[Any]:
        """The table's columns in the order of `file`, `name` for people. Raises UserError if it holds no such table."""
        with self._trainer():
            found: list[Any] = self.modules["trainer.rows"].start(
                self._data, name, kinds.text_lines(file, name, self._data.encoding)
            )
            return found

    @property
    def notes(self) -> types.ModuleType:
        """`trainer.rows`: what a first look at the data notices, in the words of a job's log."""
        return self.modules["trainer.rows"]

    def find_notes(self, train: Any, evaluation: Any) -> list[str]:
        """What is odd about two `Seen` of `trainer.rows`, by sentences. Raises UserError where a job would end."""
        with self._trainer():
            for seen in (train, evaluation):
                seen.refuse_unknown()
            return self.notes.find_notes(train, evaluation)

    @property
    def _data(self) -> Any:
        return self.modules["trainer.model"].DATA

    @contextlib.contextmanager
    def _trainer(self) -> Iterator[None]:
        # Type hints that are texts are looked up in the module that holds them.
        with _loading(self.project), _translated():
            sys.modules.update(self.modules)
            yield


def read_model(project: Project) -> ModelPage:
    """`trainer.model` of a project, of which only the parts without TensorFlow are real.

    A page that computes with what a library answers is read with the library, which takes seconds. Raises UserError for
    a mistake in model.py.
    """
    try:
        return _read(project, stand_in=True)
    except _NeedsTheLibraryError:
        with quiet_import():
            return _read(project, stand_in=False)


def _read(project: Project, *, stand_in: bool) -> ModelPage:
    for name in ("columns", "rows", "run", "model"):
        if not any((project.source / "trainer" / place).exists() for place in (f"{name}.py", name)):
            raise UserError(f"src/trainer/{name}.py is missing")
    with _loading(project) as own, _stand_ins(project) if stand_in else contextlib.nullcontext(), _translated():
        try:
            importlib.import_module("trainer.rows")
            importlib.import_module("trainer.run").load_model()
        except Exception as error:
            # These come from a page that really runs; others may be the fault of a stand-in.
            real = error.__cause__ is None or isinstance(error.__cause__, (NameError, SyntaxError))
            if real or not stand_in or not is_user_error(error):
                raise
            raise _NeedsTheLibraryError from error
        return ModelPage(project, {name: module for name, module in sys.modules.items() if own(name)})


@contextlib.contextmanager
def _loading(project: Project) -> Iterator[Callable[[str], bool]]:
    """`src/` on the path, and only meanwhile its modules among those that are loaded; yields what tells them."""
    tops = {path.name.removesuffix(".py") for path in project.source.iterdir()}

    def own(name: str) -> bool:
        return name.partition(".")[0] in tops

    others = {name: sys.modules.pop(name) for name in list(sys.modules) if own(name)}
    importlib.invalidate_caches()
    sys.path.insert(0, str(project.source))
    try:
        with loggers.kept():
            yield own
    finally:
        sys.path.remove(str(project.source))
        for name in [name for name in sys.modules if own(name)]:
            del sys.modules[name]
        sys.modules.update(others)


@contextlib.contextmanager
def _stand_ins(project: Project) -> Iterator[None]:
    finder, before = _Finder(project), set(sys.modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        # What saw a stand-in must not be found by anybody else.
        for name in set(sys.modules) - before:
            if not _real(name):
                del sys.modules[name]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_user_error(error) and not isinstance(error, UserError):
            raise UserError(str(error)) from error
        raise


class _NeedsTheLibraryError(Exception):
    """A value of a library decides what the page says."""


class _StandIn:
    """Whatever a library offers: can be called, indexed, combined, used as a base class or a decorator."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        # As a decorator it leaves what it decorates.
        return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], (type, types.FunctionType)) else self

    def __getattr__(self, name: str) -> "_StandIn":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _: Any) -> "_StandIn":
        return self

    def __iter__(self) -> Iterator[Any]:
        raise _NeedsTheLibraryError

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[type, ...]:
        return (_Base,)

    def __or__(self, _: Any) -> "_StandIn":
        return self

    __ror__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __or__


class _Base:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class _Module(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> _StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, project: Project) -> None:
        self._project = project

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if _real(name) or self._project.has_module(name):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _real(name: str) -> bool:
    # NumPy is quick to import, and pages compute with it.
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top == "numpy"
