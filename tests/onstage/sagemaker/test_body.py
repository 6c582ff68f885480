"""`onstage body`: a request from elsewhere is run as it is, or refused as SageMaker would refuse it."""

import json
import shutil
from pathlib import Path

import pytest

from onstage import source
from onstage.project import Project
from onstage.sagemaker.requests import bodies
from onstage.settings import load
from tests.onstage.commands import onstage


@pytest.fixture(scope="module")
def body_folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A request body of ours in a file, and its objects where `--store` says."""
    folder = tmp_path_factory.mktemp("body")
    cloud = load(Project(project)).sagemaker.model_copy(
        update={"bucket": "my-bucket", "role": "arn:aws:iam::111122223333:role/mine"}
    )
    values = {"epochs": 1, "seed": 3}
    body = bodies.training_job(cloud, "iris_classifier", "from-a-file", values, ["val_accuracy"])
    (folder / "body.json").write_text(json.dumps(body), encoding="utf-8")
    places = folder / "store" / "my-bucket" / "iris_classifier"
    shutil.copytree(project / "data", places / "data", ignore=shutil.ignore_patterns("README.md"))
    (places / "jobs" / "from-a-file" / "source").mkdir(parents=True)
    archive = places / "jobs" / "from-a-file" / "source" / "sourcedir.tar.gz"
    archive.write_bytes(source.archive(project / "src"))
    return folder


@pytest.mark.long
def test_a_body_from_a_file_is_rehearsed_as_it_is(body_folder: Path, project: Path) -> None:
    before = sorted(body_folder.rglob("*"))
    ended = onstage("body", body_folder / "body.json", cwd=project)
    assert ended.code == 0, ended.said
    # What a rehearsed job leaves is thrown away.
    assert sorted(body_folder.rglob("*")) == before


BAD_BODIES = [
    (("InputDataConfig", 0, "ChannelName"), "my channel", "InputDataConfig[0].ChannelName: 'my channel'"),
    (("TrainingJobName",), "under_score", "TrainingJobName: 'under_score'"),
    (("ResourceConfig", "InstanceType"), "ml.t9.huge", "'ml.t9.huge' does not exist"),
    (("InputDataConfig", 0, "InputMode"), "Pipe", "Pipe"),
]


@pytest.mark.parametrize(("path", "value", "said"), BAD_BODIES, ids=[row[1] for row in BAD_BODIES])
def test_a_body_that_sagemaker_would_refuse_is_refused(
    path: tuple[str | int, ...], value: str, said: str, body_folder: Path, project: Path, tmp_path: Path
) -> None:
    body = json.loads((body_folder / "body.json").read_text(encoding="utf-8"))
    *parents, last = path
    part = body
    for name in parents:
        part = part[name]
    part[last] = value
    (tmp_path / "body.json").write_text(json.dumps(body), encoding="utf-8")
    ended = onstage("body", tmp_path / "body.json", "--store", body_folder / "store", cwd=project)
    assert ended.code == 1
    assert said in ended.out
    assert "Traceback" not in ended.said
