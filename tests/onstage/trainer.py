"""`trainer.run` of the template, as `run`: it needs only the standard library, and so no project is rendered for it."""

import sys
import types

from tests.conftest import TEMPLATE

_FILE = TEMPLATE / "src" / "trainer" / "run.py"

# Executed rather than imported: nothing may be compiled into the template's folder.
run = types.ModuleType("run_of_the_template")
sys.modules[run.__name__] = run
exec(compile(_FILE.read_text(encoding="utf-8"), _FILE, "exec"), run.__dict__)  # noqa: S102
