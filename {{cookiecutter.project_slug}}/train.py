# Owned by the template: edit `src/trainer/model.py` instead.
"""Train here, on the data that settings.toml names, and ask for predictions: `python train.py --epochs 40`."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))

try:
    from onstage.errors import run_script
    from onstage.project import Project, path_for_people
    from onstage.quiet import quiet_import
    from onstage.settings import load
    from onstage.training_page import write as write_page
except ImportError as error:
    # None at all, or another version's.
    sys.stderr.write(f'error: {error}: pip install -r "{ROOT}/requirements.txt"\n')
    sys.exit(2)

from trainer.run import Run, checkpoint_seconds, join, load_model, parse_flags

PROJECT = Project(ROOT)
locate = PROJECT.locate


def make_run(argv: Sequence[str]) -> Run:
    """A Run in a new folder of `runs/`, or in the one that --job-dir names: there, a stopped training goes on."""
    hyperparameters, flags = parse_flags(load_model().Hyperparameters, argv)
    data = load(PROJECT).data
    folder = flags["job_dir"] or str(PROJECT.new_run())
    in_folder = [] if flags["job_dir"] else ["--job-dir", path_for_people(Path(folder))]
    again = shlex.join(["python", path_for_people(ROOT / "train.py"), *argv, *in_folder])
    return Run(
        hyperparameters,
        train_data=locate(data.train),
        eval_data=locate(data.eval),
        export_dir=join(flags["model_dir"] or join(folder, "model"), "1"),
        checkpoint_dir=join(folder, "checkpoints"),
        log_dir=join(folder, "logs"),
        rows_dir=str(PROJECT.runs / "rows"),
        checkpoint_seconds=checkpoint_seconds(os.environ),
        export_again=f"This exports them again, without training: {again}",
    )


def run(argv: Sequence[str]) -> Any:
    """Train; print the metrics of the last epoch, a request that both clouds' endpoints would take, and its answer.

    Returns the trainer's Result.
    """
    with quiet_import():
        load_model()
        from trainer.reporting import number
        from trainer.training import train

    job = make_run(argv)
    try:
        result = train(job)
    except KeyboardInterrupt:
        folder = path_for_people(Path(job.checkpoint_dir).parent)
        print(f"to go on from the last checkpoint: the same flags and --job-dir {folder}", flush=True)
        raise
    assert result is not None, "one host alone is the chief"
    request_file = Path(job.checkpoint_dir).with_name("request.json")
    request_file.write_text(json.dumps(result.request) + "\n", encoding="utf-8")
    show(result.request, result.response)
    print("result: " + " ".join(f"{name}={number(value, 4)}" for name, value in result.metrics.items()))
    if result.constant:
        # For comparison only: no service shall take it for the result.
        constant = ", ".join(f"{name} {number(value, 4)}" for name, value in result.constant.items())
        print(f"without the columns, {result.constant_answer} for every row: {constant}")
    print(write_page(request_file.parent, job, result, load_model().OBJECTIVE))
    print(f"again: python {path_for_people(ROOT / 'predict.py')} {path_for_people(request_file)}")
    return result


def show(request: dict, response: dict) -> None:
    """Print a request and its response as an endpoint would exchange them."""
    print(f"request: {json.dumps(request)}")
    print(f"response: {json.dumps(response)}")


if __name__ == "__main__":
    run_script(lambda: run(sys.argv[1:]))
