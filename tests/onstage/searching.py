"""A project between two clouds whose trainer says in a moment what a training would."""

from dataclasses import dataclass
from pathlib import Path

from tests.emulators.aws import FakeAws
from tests.onstage import commands
from tests.onstage.commands import Ended
from tests.onstage.sagemaker import desk as sagemaker
from tests.onstage.search.conftest import SCRIPT
from tests.onstage.vertex import desk as vertex

# Best at a learning rate of 0.01; a network of three layers cannot be.
TRAIN = """
import json
import math
import os
from pathlib import Path

from trainer.run import UserError


def train(run):
    values = run.hyperparameters
    if values.hidden_layers == 3:
        raise UserError("three layers are too many")
    value = 1 - abs(math.log10(values.learning_rate) + 2) / 4
    for epoch in range(1, values.epochs + 1):
        print(f"epoch={epoch} loss=1 val_loss=1 val_accuracy={value:.6g}", flush=True)
    if run.metric_file:
        line = {"trial": run.trial, "val_accuracy": str(value), "global_step": str(values.epochs)}
        Path(run.metric_file).parent.mkdir(parents=True, exist_ok=True)
        Path(run.metric_file).write_text(json.dumps(line) + "\\n", encoding="utf-8")
    if folder := os.environ.get("SM_MODEL_DIR"):
        Path(folder, "model", "1").mkdir(parents=True)
        Path(folder, "model", "1", "saved_model.pb").write_text("a model", encoding="utf-8")
"""
WITHOUT_KERAS = {
    "import keras\n": "",
    "from trainer.encoding import joined\n": "",
    "dict[str, keras.KerasTensor]) -> keras.Model:": "dict):",
    "    hidden = joined(": "    import keras\n\n    from trainer.encoding import joined\n\n    hidden = joined(",
}


@dataclass
class Desk:
    """A project folder between two clouds."""

    folder: Path
    aws: FakeAws
    google: vertex.FakeGoogle

    def ask(self, *words: str) -> Ended:
        """Run `onstage` with these words."""
        environment = {**self.aws.environment, **self.google.environment}
        ended = commands.onstage(*words, cwd=self.folder, environment=environment)
        assert "Traceback" not in ended.said, ended.said
        return ended

    def run(self, *words: str, code: int = 0) -> str:
        """What it prints; it ends with `code`."""
        ended = self.ask(*words)
        assert ended.code == code, ended.said
        return ended.said


def made(project: Path, folder: Path, aws: FakeAws, google: vertex.FakeGoogle) -> Desk:
    """A project with a quick trainer, whose data is in both buckets."""
    sagemaker.make_desk(project, folder, aws)
    vertex.Desk(folder, google).change('project = ""\nbucket = ""', f'project = "proj"\nbucket = "{vertex.BUCKET}"')
    page = folder / "src" / "trainer" / "model.py"
    text = page.read_text(encoding="utf-8")
    for old, new in WITHOUT_KERAS.items():
        assert old in text
        text = text.replace(old, new)
    page.write_text(text, encoding="utf-8")
    (folder / "src" / "trainer" / "training.py").write_text(TRAIN, encoding="utf-8")
    (folder / "train.py").write_text(SCRIPT.replace("BEHAVIOUR", ""), encoding="utf-8")
    desk = Desk(folder, aws, google)
    for platform in ("sagemaker", "vertex"):
        desk.run(platform, "upload", "--create-bucket")
    return desk
