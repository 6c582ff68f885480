"""All hosts of a job have the same rows, or are refused."""

import json
from pathlib import Path

import pytest

from tests.template.hosts import Job
from tests.template.test_hosts import FLAGS


@pytest.mark.long
def test_hosts_with_other_files_are_refused(project: Path, tmp_path: Path) -> None:
    job = Job(project, tmp_path, 2)
    (tmp_path / "part").mkdir()
    lines = next((project / "data" / "train").glob("*.csv")).read_text().splitlines(keepends=True)
    (tmp_path / "part" / "a.csv").write_text("".join(lines[:60]))
    job.start("algo-1", FLAGS)
    job.shared["SM_CHANNEL_TRAIN"] = str(tmp_path / "part")
    job.start("algo-2", FLAGS)
    assert job.wait() == {"algo-1": 1, "algo-2": 1}
    said = "error: rows for training: algo-1 has 120, algo-2 has 59; every host must see all of the data"
    assert said in job.log("algo-1")
    assert said in job.log("algo-2")


READER = """
import dataclasses
import keras
import numpy as np
import tensorflow as tf
from trainer import model
from trainer.reader import Rows


class Noise(Rows):
    def prepare(self, train, evaluation):
        chance = np.random.default_rng(SEED)
        self.values = {True: chance.normal(size=(50, 4)), False: chance.normal(size=(10, 4))}

    def rows(self, training):
        return self.values[training].astype("float32"), self.values[training][:, :1].astype("float32")

    def row(self, values, target):
        return {"x": values}, target

    def signatures(self, predict):
        serve = lambda x: {"y": predict({"x": x})}
        return {"serving_default": (serve, [tf.TensorSpec([None, 4], tf.float32, name="x")])}, []

    def examples(self, count=3):
        return self.rows(False)[0][:count].tolist()


def build_model(hyperparameters, inputs):
    network = keras.Model(inputs, keras.layers.Dense(1)(inputs["x"]))
    network.compile("sgd", loss="mse")
    return network


model.DATA, model.build_model, model.OBJECTIVE = Noise(), build_model, model.Objective("val_loss", "minimize")
"""
VERTEX = """
from trainer import task
sys.exit(task.main(lambda: task.run(sys.argv[1:], os.environ)))
"""


@pytest.mark.long
@pytest.mark.parametrize("seed", ["0", "None"])
def test_a_reader_of_ones_own_gives_all_hosts_the_same_rows_or_is_refused(
    project: Path, tmp_path: Path, seed: str
) -> None:
    job = Job(project, tmp_path, 2)
    # On Vertex AI: the addresses are in CLUSTER_SPEC, and the folder is one for all hosts.
    places = [f"{host}:{port}" for host, port in job.places.values()]
    flags = ["--train-data=t", "--eval-data=e", "--epochs=2", "--batch-size=7", f"--job-dir={tmp_path}/job"]
    for number, name in enumerate(job.names):
        task = {"type": f"workerpool{number}", "index": 0}
        cluster = {"workerpool0": places[:1], "workerpool1": places[1:]}
        job.shared["CLUSTER_SPEC"] = json.dumps({"cluster": cluster, "task": task})
        job.start(name, flags, before=READER.replace("SEED", seed), entry=VERTEX)
    codes = set(job.wait().values())
    if seed == "0":
        assert codes == {0}, job.log("algo-1")
        assert (tmp_path / "job" / "model" / "1" / "saved_model.pb").exists()
    else:
        assert codes == {1}
        for name in job.names:
            assert "the checksum of the first batch's targets" in job.log(name)
