# Owned by the template.
"""Ask a trained model as the clouds' endpoints are asked: `python predict.py [REQUEST.json | -] [MODEL_FOLDER]`.

Without a request, the one that the last training left; without a folder, the model of the last training.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from train import RUNS, main, quiet_import, show
from trainer.run import UserError


def newest_model() -> Path:
    """The version folder of the last training in `runs/`. Raises UserError when there is none."""
    models = sorted(RUNS.glob("*/model/1/saved_model.pb"), key=lambda file: file.stat().st_mtime)
    if not models:
        raise UserError("there is no trained model in runs/; train one: python train.py")
    return models[-1].parent


def read_request(source: str) -> dict:
    """The JSON of a file, or of standard input for `-`. Raises UserError when it is none."""
    try:
        request = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"no request in {source}: {error}") from error
    if not isinstance(request, dict):
        raise UserError('a request is an object: {"instances": [one row, ...]}')
    return request


def run(argv: Sequence[str]) -> None:
    """Print the request and the model's answer."""
    if len(argv) > 2 or any(word in ("-h", "--help") for word in argv):
        raise UserError("usage: python predict.py [REQUEST.json | -] [MODEL_FOLDER]")
    folder = Path(argv[1]) if len(argv) > 1 else newest_model()
    request = read_request(argv[0] if argv else str(folder.parent.parent / "request.json"))
    with quiet_import():
        from trainer.predictor import Predictor
    show(request, Predictor(str(folder)).predict(request))


if __name__ == "__main__":
    sys.exit(main(lambda: run(sys.argv[1:])))
