"""On a full disk the last good checkpoint stays, and the training says what is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACES = (
    shutil.which("unshare")
    and not subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode
)


@pytest.mark.long
@pytest.mark.skipif(not NAMESPACES, reason="needs a mount namespace")
def test_on_a_full_disk_the_last_good_checkpoint_stays(project: Path, tmp_path: Path) -> None:
    """One within an epoch is left out with a warning; after an epoch it ends the job; so does a read-only folder."""
    code = """
import sys
sys.path.insert(0, "src")
import keras, pathlib, subprocess
from trainer import model
from trainer.checkpoints import Checkpoints
from trainer.run import Run, UserError
folder = pathlib.Path(sys.argv[1])
def make():
    inputs = keras.Input((100,))
    network = keras.Model(inputs, keras.layers.Dense(100)(inputs))
    network.compile("sgd", "mse")
    network.optimizer.build(network.trainable_variables)
    run = Run(model.Hyperparameters(), "", "", "", str(folder), "", checkpoint_seconds=1e-9)
    return Checkpoints(run, network, steps=9)
one = make()
one.restore()
one.prepare()
one.save_within(1, 3, 1.5)
(folder / "filler").write_bytes(bytes(100_000))
one.save_within(1, 4, 2.0)
print("went on")
try:
    one.save(1, last=True)
except UserError as error:
    print("ended:", error)
(folder / "filler").unlink()
again = make()
print(again.restore(), again.step, again.loss)
again.save_within(1, 5, 2.5)
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
again.save_within(1, 6, 2.5)
print(make().restore())
"""
    place = tmp_path / "small"
    place.mkdir()
    script = 'mount -t tmpfs -o size=170k none "$1" && exec "$2" -c "$3" "$1"'
    words = ["unshare", "-rm", "bash", "-c", script, "-", str(place), sys.executable, code]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    full, went_on, ended, goes_on, place_in, read_only, again, seen = done.stdout.splitlines()
    cannot = rf"no checkpoint can be written to {place}: "
    assert full.startswith(f"warning: {cannot}")
    assert "No space left on device; the last good one is" in full
    assert full.endswith(f"{place}/ckpt-1. The training goes on without it")
    assert went_on == "went on"
    assert ended.startswith(f"ended: {cannot}")
    assert goes_on == f"goes on in epoch 1 at step 3 of 9, from {place}/ckpt-1"
    assert place_in == "0 3 1.5"
    assert "Read-only file system" in read_only
    assert again.startswith("goes on in epoch 1 at step 5 of 9")
    assert seen == "0"
