# Owned by the template.
"""Reads `model.py` without TensorFlow, in milliseconds: its columns, hyperparameters and objective.

Modules that are neither the standard library's nor the project's are stood in for by objects that accept everything.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

from cloud.source import SOURCE
from trainer.run import UserError, load_model


def read_model() -> types.ModuleType:
    """The module `trainer.model`, of which only the parts without TensorFlow are real.

    A page that computes with what a library answers is read with the library, which takes seconds. Raises UserError for
    a mistake in model.py.
    """
    return _with_stand_ins() or load_model()


def local_name(name: str) -> bool:
    """Whether `name` is a module of `src/`."""
    top = name.partition(".")[0]
    return (SOURCE / top).is_dir() or (SOURCE / f"{top}.py").is_file()


def _with_stand_ins() -> types.ModuleType | None:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    before = set(sys.modules)
    try:
        return load_model()
    except UserError as error:
        # These come from a page that really runs; others may be the fault of a stand-in.
        if error.__cause__ is None or isinstance(error.__cause__, (NameError, SyntaxError)):
            raise
        return None
    finally:
        sys.meta_path.remove(finder)
        # What saw a stand-in must not be found by anybody else.
        for name in set(sys.modules) - before:
            if not _real(name):
                del sys.modules[name]


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

    def __mro_entries__(self, _: tuple) -> tuple[type, ...]:
        return (_Base,)

    def __or__(self, _: Any) -> "_StandIn":
        return self

    __ror__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __or__


class _Base:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class _Module(types.ModuleType):
    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> _StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if _real(name) or local_name(name):
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
