# Owned by the template: edit `trainer/model.py` instead.
"""SageMaker's entry point: one file, run as `python sagemaker_entry.py --epochs 40 ...` in the unpacked `src/`.

Translates what the SageMaker training toolkit says, in flags and environment variables, into one `Run`. Nothing else
belongs here. Source of the variables:
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.cluster import Cluster, json_of
from trainer.run import Run, UserError, checkpoint_seconds, export_again, join, load_model, main, parse_flags

# Where the hosts of a job hear each other: any port, the same on all.
PORT = 2222


def base_dir(environment: Mapping[str, str]) -> str:
    """The folder that the service reads and collects: /opt/ml, unless the toolkit was told to use another."""
    return environment.get("SAGEMAKER_BASE_DIR") or "/opt/ml"


def make_run(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """The Run that SageMaker asks for. Raises UserError for a bad flag or a channel that the job does not have.

    SM_HPS has the hyperparameters; without it, by hand, `argv` does.

    The flag --model_dir, which the toolkit adds, is not used: it is an s3:// URI, or None/<job>/model in a tuning job,
    and the service collects SM_MODEL_DIR only.
    """
    told = environment.get("SM_HPS")
    if told:
        # The toolkit lets a shell read its command line, which takes out empty values and splits others.
        argv = [f"--{name}={_text(value)}" for name, value in json.loads(told).items()]
    hyperparameters, _ = parse_flags(load_model().Hyperparameters, argv)
    base = base_dir(environment)
    # TensorFlow Serving's container wants <name>/<version>/saved_model.pb in the archive; checkpoints must not be in
    # it.
    model_dir = environment.get("SM_MODEL_DIR") or join(base, "model")
    return Run(
        hyperparameters,
        train_data=_channel("train", environment),
        eval_data=_channel("eval", environment),
        export_dir=join(model_dir, "model", "1"),
        checkpoint_dir=join(base, "checkpoints"),
        log_dir=join(environment.get("SM_OUTPUT_DATA_DIR") or join(base, "output", "data"), "tensorboard"),
        checkpoint_seconds=checkpoint_seconds(environment),
        export_again=export_again("the job's CheckpointConfig.S3Uri"),
        cluster=_cluster(environment),
    )


def _cluster(environment: Mapping[str, str]) -> Cluster | None:
    """What SM_HOSTS and SM_CURRENT_HOST say; None for one host."""
    hosts = json_of("SM_HOSTS", environment) or []
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise UserError(f'SM_HOSTS is a list such as ["algo-1", "algo-2"], not {hosts}')
    if len(hosts) < 2:
        return None
    if len(set(hosts)) < len(hosts):
        raise UserError(f"SM_HOSTS names a host twice: {', '.join(hosts)}")
    current = environment.get("SM_CURRENT_HOST")
    if current not in hosts:
        raise UserError(f"SM_CURRENT_HOST is {current!r}, which is not one of SM_HOSTS: {', '.join(hosts)}")
    channels = json_of("SM_INPUT_DATA_CONFIG", environment) or {}
    sharded = [name for name, told in channels.items() if told.get("S3DistributionType") == "ShardedByS3Key"]
    return Cluster(
        tuple((host, PORT) for host in sorted(hosts)),
        sorted(hosts).index(current),
        tuple(name for name in ("train", "eval") if name in sharded),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _channel(name: str, environment: Mapping[str, str]) -> str:
    variable = f"SM_CHANNEL_{name.upper()}"
    if not environment.get(variable):
        raise UserError(
            f"the job has no input channel {name!r}: {variable} is not set. InputDataConfig needs train and eval"
        )
    return environment[variable]


def run(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Train as SageMaker asks."""
    job = make_run(argv, environment)
    from trainer.training import train

    train(job)


if __name__ == "__main__":
    sys.exit(main(lambda: run(sys.argv[1:], os.environ), Path(base_dir(os.environ), "output", "failure")))
