"""`trainer.run` of the template, as `run`: it needs only the standard library, and so no project is rendered for it."""

import sys
import types

from tests.conftest import TEMPLATE


def _load(name: str, as_name: str) -> types.ModuleType:
    # Executed rather than imported: nothing may be compiled into the template's folder.
    file = TEMPLATE / "src" / "trainer" / f"{name}.py"
    sys.modules[as_name] = module = types.ModuleType(as_name)
    module.__file__ = str(file)
    exec(compile(file.read_text(encoding="utf-8"), file, "exec"), module.__dict__)  # noqa: S102
    return module


# What `run` imports is there under its own name meanwhile, and out of the way of a project's trainer afterwards.
_mine = ("trainer", "trainer.explaining")
_others = {name: sys.modules.pop(name) for name in _mine if name in sys.modules}
sys.modules["trainer"] = types.ModuleType("trainer")
_load("explaining", "trainer.explaining")
run = _load("run", "run_of_the_template")
for _name in _mine:
    del sys.modules[_name]
sys.modules.update(_others)
