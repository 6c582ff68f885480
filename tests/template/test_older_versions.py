"""What the project exports is loaded by older versions of TensorFlow, and answered alike."""

import json
from pathlib import Path

import pytest

from onstage.checks.source_checks import Source
from onstage.rehearsal.serving_version import check_version
from onstage.serving import versions
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from tests.oracles import older_tensorflow


@pytest.mark.long
@pytest.mark.parametrize("version", ["2.15", "2.17", "2.19", "2.20"])
def test_both_examples_are_answered_alike_by(
    version: str, project: Path, iris: Path, penguins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in older_tensorflow().items():
        monkeypatch.setenv(name, value)
    other = versions.require(version)
    assert other.tensorflow.startswith(f"{version}.")
    with ServingProcess("sagemaker") as server:
        for model in (iris, penguins):
            server.load_models({"model": find_versions(model.parent)})
            left = json.loads((model / "assets.extra" / "example.json").read_text(encoding="utf-8"))
            rows = left["request"]["instances"]
            said = check_version(server, other, rows, Source(project / "src", project))
            assert said == (
                f"TensorFlow {other.tensorflow} answers {len(rows)} rows and a request to named, serving_default as "
                f"{versions.here()} does"
            )
