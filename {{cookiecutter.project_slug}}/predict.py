# Owned by the template.
"""Ask a trained model as the clouds' endpoints are asked: python predict.py [REQUEST.json | -] [FOLDER]

Without a request, the one that the last training left; without a folder, the model of the last training. FOLDER is a
folder of runs/, or one that holds saved_model.pb.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# First, because it says what is not installed.
from train import PROJECT, quiet_import, run_script, show  # isort: split

from onstage.errors import StartError
from onstage.serving.answers import read_request


def run(argv: Sequence[str]) -> None:
    """Print the request and the model's answer."""
    if argv and argv[0] in ("-h", "--help"):
        print(__doc__)
        return
    if len(argv) > 2 or (argv and argv[0].startswith("--")):
        raise StartError("usage: python predict.py [REQUEST.json | -] [FOLDER]")
    folder = Path(argv[1]) if len(argv) > 1 else PROJECT.newest_model()
    if (folder / "model" / "1").is_dir():
        folder = folder / "model" / "1"
    request = read_request(argv[0] if argv else str(folder.parent.parent / "request.json"))
    with quiet_import():
        from trainer.export import Predictor
    show(request, Predictor(str(folder)).predict(request))


if __name__ == "__main__":
    run_script(lambda: run(sys.argv[1:]))
