# Owned by the template: edit `src/trainer/model.py` instead.
"""Train here, on the data that settings.toml names, and ask for predictions: `python train.py --epochs 40`."""

import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cloud import ROOT
from cloud.settings import load
from trainer.run import Run, UserError, join, load_model, main, parse_flags

RUNS = ROOT / "runs"


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import TensorFlow without its greetings on stderr, which no setting silences; an error shows them all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def make_run(argv: Sequence[str]) -> Run:
    """A Run in a new folder of `runs/`, or in the one that --job-dir names: there, a stopped training goes on."""
    hyperparameters, flags = parse_flags(load_model().Hyperparameters, argv)
    data = load().data
    folder = flags["job_dir"] or str(new_folder())
    return Run(
        hyperparameters,
        train_data=locate(data.train),
        eval_data=locate(data.eval),
        export_dir=join(flags["model_dir"] or join(folder, "model"), "1"),
        checkpoint_dir=join(folder, "checkpoints"),
        log_dir=join(folder, "logs"),
    )


def locate(data: str) -> str:
    """A location of settings.toml: a URI as it is, a path from the project's folder."""
    return data if "://" in data else str(ROOT / data)


def new_folder() -> Path:
    """A folder of `runs/` that no other training has, named by the time."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = RUNS / (stamp if number == 1 else f"{stamp}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def run(argv: Sequence[str]) -> None:
    """Train; print the metrics of the last epoch, a request that both clouds' endpoints would take, and its answer."""
    with quiet_import():
        load_model()
        from trainer.training import train

    job = make_run(argv)
    try:
        result = train(job)
    except KeyboardInterrupt:
        folder = os.path.relpath(Path(job.checkpoint_dir).parent)
        print(f"to go on from the last checkpoint: the same flags and --job-dir {folder}", flush=True)
        raise
    request_file = Path(job.checkpoint_dir).with_name("request.json")
    request_file.write_text(json.dumps(result.request) + "\n", encoding="utf-8")
    show(result.request, result.response)
    print("result: " + " ".join(f"{name}={value:.4g}" for name, value in result.metrics.items()))
    print(f"again: python predict.py {os.path.relpath(request_file)}")


def show(request: dict, response: dict) -> None:
    """Print a request and its response as an endpoint would exchange them."""
    print(f"request: {json.dumps(request)}")
    print(f"response: {json.dumps(response)}")


if __name__ == "__main__":
    sys.exit(main(lambda: run(sys.argv[1:])))
