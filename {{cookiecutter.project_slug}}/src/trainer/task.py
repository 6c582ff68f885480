# Owned by the template: edit `model.py` instead.
"""Vertex AI's entry point: `python -m trainer.task --train-data gs://... --eval-data gs://...`.

Translates what Vertex AI says, in flags and environment variables, into one `Run`. Nothing else belongs here.
Source of the variables: https://cloud.google.com/vertex-ai/docs/training/code-requirements
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence

from trainer.run import (
    Run,
    UserError,
    checkpoint_seconds,
    export_again,
    join,
    load_model,
    main,
    parse_flags,
    refuse_several_hosts,
)

FLAGS = {
    "train_data": "the training data: a CSV file, a folder of them, or a pattern; local or gs://",
    "eval_data": "the evaluation data, likewise",
    "model_layout": "versioned (default) for TensorFlow Serving, flat for Vertex AI's prebuilt containers",
}


def make_run(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """The Run that Vertex AI asks for. Raises UserError for a bad flag or a location that nobody named."""
    hyperparameters, flags = parse_flags(load_model().Hyperparameters, argv, FLAGS)
    cluster = json.loads(environment.get("TF_CONFIG") or "{}").get("cluster", {})
    refuse_several_hosts([host for hosts in cluster.values() for host in hosts])
    for name in ("train_data", "eval_data"):
        if not flags[name]:
            raise UserError(f"--{name.replace('_', '-')} is missing: {FLAGS[name]}")
    layout = flags["model_layout"] or "versioned"
    if layout not in ("versioned", "flat"):
        raise UserError(f"--model-layout is versioned or flat, not {layout}")
    trial = environment.get("CLOUD_ML_TRIAL_ID")
    base = flags["job_dir"] and join(flags["job_dir"], *([trial] if trial else []))

    def location(variable: str, name: str, override: str | None = None) -> str:
        # With a baseOutputDirectory the service sets the variables, and collects the model from nowhere else.
        found = environment.get(variable) or override or (base and join(base, name))
        if not found:
            raise UserError(
                f"nobody said where the {name} goes: set baseOutputDirectory in the job, or --job-dir FOLDER"
            )
        return found

    model_dir = location("AIP_MODEL_DIR", "model", flags["model_dir"])
    metric_file = environment.get("CLOUD_ML_HP_METRIC_FILE") or ("/tmp/hypertune/output.metrics" if trial else None)
    return Run(
        hyperparameters,
        train_data=flags["train_data"],
        eval_data=flags["eval_data"],
        export_dir=join(model_dir, "1") if layout == "versioned" else model_dir.rstrip("/"),
        checkpoint_dir=location("AIP_CHECKPOINT_DIR", "checkpoints").rstrip("/"),
        log_dir=location("AIP_TENSORBOARD_LOG_DIR", "logs").rstrip("/"),
        metric_file=metric_file,
        trial=trial or "0",
        checkpoint_seconds=checkpoint_seconds(environment),
        export_again=export_again("that folder"),
    )


def run(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Train as Vertex AI asks."""
    # Before TensorFlow is imported. It clears a block's memory for each file of gs://, even for one of 1 kB: with its
    # own 64 MB that takes 40 ms.
    os.environ.setdefault("GCS_READ_CACHE_BLOCK_SIZE_MB", "16")
    job = make_run(argv, environment)
    from trainer.training import train

    train(job)


if __name__ == "__main__":
    sys.exit(main(lambda: run(sys.argv[1:], os.environ)))
