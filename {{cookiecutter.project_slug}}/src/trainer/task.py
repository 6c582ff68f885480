# Owned by the template: edit `model.py` instead.
"""Vertex AI's entry point: `python -m trainer.task --train-data gs://... --eval-data gs://...`.

Translates what Vertex AI says, in flags and environment variables, into one `Run`. Nothing else belongs here.
Source of the variables: https://cloud.google.com/vertex-ai/docs/training/code-requirements
"""

import os
import sys
from collections.abc import Mapping, Sequence

from trainer.cluster import Cluster, json_of
from trainer.run import Run, UserError, checkpoint_seconds, export_again, join, load_model, main, parse_flags

FLAGS = {
    "train_data": "the training data: a CSV file, a folder of them, or a pattern; local or gs://",
    "eval_data": "the evaluation data, likewise",
    "model_layout": "versioned (default) for TensorFlow Serving, flat for Vertex AI's prebuilt containers",
}
# The role of each worker pool, as CLUSTER_SPEC and TF_CONFIG name it; `master` is what AI Platform said.
ROLES = {
    "workerpool0": "chief", "chief": "chief", "master": "chief", "workerpool1": "worker", "worker": "worker",
    "workerpool2": "parameter server", "ps": "parameter server", "workerpool3": "evaluator", "evaluator": "evaluator",
}  # fmt: skip


def make_run(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """The Run that Vertex AI asks for. Raises UserError for a bad flag or a location that nobody named."""
    hyperparameters, flags = parse_flags(load_model().Hyperparameters, argv, FLAGS)
    train_data, eval_data = flags["train_data"], flags["eval_data"]
    if not train_data or not eval_data:
        name = "eval_data" if train_data else "train_data"
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
        train_data=train_data,
        eval_data=eval_data,
        export_dir=join(model_dir, "1") if layout == "versioned" else model_dir.rstrip("/"),
        checkpoint_dir=location("AIP_CHECKPOINT_DIR", "checkpoints").rstrip("/"),
        log_dir=location("AIP_TENSORBOARD_LOG_DIR", "logs").rstrip("/"),
        metric_file=metric_file,
        trial=trial or "0",
        checkpoint_seconds=checkpoint_seconds(environment),
        export_again=export_again("that folder"),
        cluster=_cluster(environment),
    )


def _cluster(environment: Mapping[str, str]) -> Cluster | None:
    """What CLUSTER_SPEC says, or TF_CONFIG where that is all there is; None for one host."""
    variable = "CLUSTER_SPEC" if environment.get("CLUSTER_SPEC") else "TF_CONFIG"
    told = json_of(variable, environment) or {}
    cluster, task = (told.get(key) or {} if isinstance(told, dict) else None for key in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise UserError(f'{variable} must be an object with "cluster" and "task", and is {told}')
    mine = (str(task.get("type")), str(task.get("index") or 0))
    found: dict[str, list] = {"chief": [], "worker": []}
    for pool, hosts in [*cluster.items(), *([(mine[0], [])] if task else [])]:
        if not isinstance(hosts, list):
            raise UserError(f"{variable}: {pool} must be a list of hosts, and is {hosts!r}")
        role = ROLES.get(pool, f"role {pool!r}")
        if role not in found and (hosts or pool == mine[0] and cluster):
            only = "a chief, the first worker pool, and workers, the second"
            raise UserError(f"{variable} has a {role} ({pool}): every host computes steps here; ask for {only}, only")
        found.get(role, []).extend(((pool, str(number)), host) for number, host in enumerate(hosts))
    if len(found["chief"]) > 1:
        hosts = ", ".join(str(host) for _, host in found["chief"])
        raise UserError(f"{variable} names {len(found['chief'])} chiefs, {hosts}; a job has one")
    members = found["chief"] + found["worker"]
    if len(members) < 2:
        return None
    places = [place for place, _ in members]
    if mine not in places:
        raise UserError(f"{variable}: this host is {' '.join(mine)}, which is not in its cluster")
    addresses = [_address(variable, host) for _, host in members]
    if len(set(addresses)) < len(addresses):
        raise UserError(f"{variable} names a host twice: {', '.join(str(host) for _, host in members)}")
    return Cluster(tuple(addresses), places.index(mine))


def _address(variable: str, text: object) -> tuple[str, int]:
    name, _, port = str(text).rpartition(":")
    if not name or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"{variable}: a host is NAME:PORT, and one is {text!r}")
    return name, int(port)


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
