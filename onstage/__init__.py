"""Rehearses on this machine the jobs that Amazon SageMaker and Google Vertex AI would run, and sends them."""

import os
from pathlib import Path
from typing import Any

# For a project's trainer, in this process and in those that it starts.
_FILES = ("advice.py", "model_advice.py", "range_advice.py", "reader_advice.py")
ADVICE = os.pathsep.join(str(Path(__file__).with_name(name)) for name in _FILES)
os.environ["ONSTAGE_ADVICE"] = ADVICE


def __getattr__(name: str) -> Any:
    # From Python: onstage.rehearse("vertex", epochs=1), onstage.tune(trials=20).
    if name not in ("rehearse", "tune", "best"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onstage import calls

    return getattr(calls, name)
