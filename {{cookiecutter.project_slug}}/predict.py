# Owned by the template.
"""Ask a trained model as the clouds' endpoints are asked: python predict.py [REQUEST.json | -] [FOLDER]

Without a request, the one that the last training left; without a folder, the model of the last training. FOLDER is a
folder of runs/, or one that holds saved_model.pb.
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
    if not isinstance(request, dict) or "instances" not in request:
        raise UserError('a request is an object: {"instances": [one row, ...]}')
    return request


def run(argv: Sequence[str]) -> None:
    """Print the request and the model's answer."""
    if argv and argv[0] in ("-h", "--help"):
        print(__doc__)
        return
    if len(argv) > 2 or (argv and argv[0].startswith("--")):
        raise UserError("usage: python predict.py [REQUEST.json | -] [FOLDER]")
    folder = Path(argv[1]) if len(argv) > 1 else newest_model()
    if (folder / "model" / "1").is_dir():
        folder = folder / "model" / "1"
    request = read_request(argv[0] if argv else str(folder.parent.parent / "request.json"))
    with quiet_import():
        from trainer.predictor import Predictor
    show(request, Predictor(str(folder)).predict(request))


if __name__ == "__main__":
    sys.exit(main(lambda: run(sys.argv[1:])))
