"""Rehearses on this machine the jobs that Amazon SageMaker and Google Vertex AI would run, and sends them."""

import os
from pathlib import Path

# For a project's trainer, in this process and in those that it starts.
_FILES = ("advice.py", "model_advice.py", "range_advice.py", "reader_advice.py")
ADVICE = os.pathsep.join(str(Path(__file__).with_name(name)) for name in _FILES)
os.environ["ONSTAGE_ADVICE"] = ADVICE
