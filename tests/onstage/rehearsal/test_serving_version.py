"""Another version of TensorFlow serves what a job left: equal answers, or what is other, where and why."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onstage.checks.source_checks import Source
from onstage.rehearsal import serving_version
from onstage.rehearsal.serving_version import check_version
from onstage.report import NotDoneError
from onstage.serving import versions
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from onstage.serving.versions import Installed
from tests.conftest import Bake
from tests.oracles import older_tensorflow

# Of version 2.15, by the name of a model: what it is said to do, and what is said to be the reason.
SAID = {
    "webp": ("Op type not registered 'DecodeWebP' in binary", "the layer reader uses the operation DecodeWebP"),
    "policy": ("indices[1] = [7] does not index into param shape [1]", "uses bad_indices_policy='IGNORE' of GatherNd"),
    "uint32": ("Value for attr 'out_type' of uint32 is not in the list", "uses out_type=uint32 of StringToNumber"),
}
ANSWERED = ("gradient", "unreached", "versions")
ROWS = [3.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def server() -> Iterator[ServingProcess]:
    with ServingProcess("sagemaker") as process:
        yield process


@pytest.fixture(scope="module")
def code(bake: Bake) -> Source:
    project = bake()
    return Source(project / "src", project)


@pytest.fixture(scope="module")
def here() -> Installed:
    """The version that trains, in a process of its own."""
    return Installed(versions.here(), Path(sys.executable))


def examples(model: Path) -> list[Any]:
    """The rows of the request that a trainer left with its model."""
    content = json.loads((model / "assets.extra" / "example.json").read_text(encoding="utf-8"))
    return content["request"]["instances"]


@pytest.mark.long
def test_equal_answers_pass_and_the_line_says_to_what(
    iris: Path, server: ServingProcess, code: Source, here: Installed
) -> None:
    server.load_models({"model": find_versions(iris / "model")})
    rows = examples(iris / "model" / "1")
    assert check_version(server, here, rows, code) == (
        f"TensorFlow {here.tensorflow} answers {len(rows)} rows and a request to named, serving_default as "
        f"{here.tensorflow} does"
    )


@pytest.mark.long
def test_other_answers_fail_with_the_row_and_both_numbers(
    exports: dict[str, Path], server: ServingProcess, code: Source, here: Installed
) -> None:
    """A model of chance answers otherwise in each process, as another version may."""
    server.load_models({"model": find_versions(exports["chance"])})
    (finding,) = check_version(server, here, ROWS, code)
    assert finding.detail.startswith(
        f"TensorFlow {here.tensorflow} does not answer as {here.tensorflow}, which trained: 3 of 3 rows of the "
        "evaluation data are answered otherwise; row 1, 3.0: the answer is "
    )
    assert "the trainer's model answered" in finding.detail
    assert finding.fix and not finding.warning


@pytest.mark.long
def test_a_request_that_the_model_itself_refuses_is_not_compared(
    exports: dict[str, Path], server: ServingProcess, code: Source, here: Installed
) -> None:
    server.load_models({"model": find_versions(exports["default_policy"])})
    with pytest.raises(NotDoneError, match="loads the model, and no request is known that the model answers"):
        check_version(server, here, [], code)


@pytest.mark.long
def test_rounding_may_decide_between_two_labels_that_are_as_likely() -> None:
    def answer(label: int, *probabilities: float) -> dict[str, Any]:
        return {"class_id": label, "probabilities": list(probabilities)}

    tie = answer(0, 0.500001, 0.499999)
    assert serving_version._difference(tie, answer(1, 0.499999, 0.500001)) == ""
    assert serving_version._difference(tie, answer(1, 0.4, 0.6))
    assert serving_version._difference(answer(0, 0.9, 0.1), answer(1, 0.9, 0.1))
    assert serving_version._difference([0.5, 0.5], [0.5, 0.5]) == ""


@pytest.mark.long
def test_the_oldest_version_answers_what_it_has_and_is_said_to_lack_the_rest(
    exports: dict[str, Path], server: ServingProcess, code: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in older_tensorflow().items():
        monkeypatch.setenv(name, value)
    other = versions.require("2.15")
    for name, (does, reason) in SAID.items():
        server.load_models({"model": find_versions(exports[name])})
        (finding,) = check_version(server, other, ROWS, code)
        assert does in finding.detail, name
        assert reason in finding.detail, name
        assert "TensorFlow 2.15.1 has" in finding.fix
    for name in ANSWERED:
        server.load_models({"model": find_versions(exports[name])})
        assert isinstance(check_version(server, other, ROWS, code), str), name
