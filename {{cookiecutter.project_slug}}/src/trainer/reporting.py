# Owned by the template.
"""Tells people and services how a training goes: one line an epoch, TensorBoard, Vertex AI's tuning."""

import json
import time
from collections import deque

import tensorflow as tf

from trainer.run import Objective, Run


def number(value: float, digits: int = 6) -> str:
    """A number as people read it: with so many digits, and no power of ten for one that is merely large."""
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e16 else f"{value:.{digits}g}"


class Reporter:
    """Reports the metrics of each epoch, to everybody who may read them."""

    def __init__(self, run: Run, objective: Objective) -> None:
        self._run, self._objective = run, objective
        self._scalars = tf.summary.create_file_writer(run.log_dir)
        # The package cloudml-hypertune, whose file this equals, keeps the last 100 lines.
        self._trials: deque[dict] = deque(maxlen=100)

    def report(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report one epoch. The printed line is what SageMaker's metric definitions read with a regex."""
        print(f"epoch={epoch} " + " ".join(f"{name}={number(value)}" for name, value in metrics.items()), flush=True)
        # tf.summary.scalar needs the tensorboard package, which the training images do not hold.
        scalar = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )
        with self._scalars.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, step=epoch, metadata=scalar)
        self._scalars.flush()
        # Without a step of training there is no `loss`.
        if self._run.metric_file and self._objective.metric in metrics:
            self._write_objective(epoch, metrics[self._objective.metric])

    def _write_objective(self, epoch: int, value: float) -> None:
        line = {
            "timestamp": time.time(),
            "trial": self._run.trial,
            self._objective.metric: str(value),
            "global_step": str(epoch),
            "checkpoint_path": "",
        }
        self._trials.append(line)
        tf.io.gfile.makedirs(self._run.metric_file.rpartition("/")[0] or ".")
        with tf.io.gfile.GFile(self._run.metric_file, "w") as file:
            file.write("".join(json.dumps(line, sort_keys=True) + "\n" for line in self._trials))
