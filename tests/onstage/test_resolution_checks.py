"""What requirements drag in, asked of the package index that this machine's pip has, is held against the image."""

import os
import time
from pathlib import Path

import pytest

from onstage import uv
from onstage.checks import resolving
from onstage.checks.platform_checks import image_of
from onstage.checks.resolution_checks import check_resolution
from onstage.checks.source_checks import Image, Source
from onstage.report import Finding
from onstage.sagemaker.requests import images as sagemaker
from onstage.vertex.requests import images as vertex


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for plans; uv keeps its own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = uv.cache().with_name("uv")
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(own)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(scope="module")
def image() -> Image:
    found = image_of(sagemaker.known_image(sagemaker.image_uri("us-east-1", "training", "cpu")))
    assert found
    assert found.pins
    return found


def code(folder: Path, text: str) -> Source:
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src/requirements.txt").write_text(text, encoding="utf-8")
    return Source(folder / "src", folder)


def found(folder: Path, text: str, image: Image) -> list[Finding]:
    answer = check_resolution(code(folder, text), image)
    return answer if isinstance(answer, list) else []


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a comment\nstatsmodels==0.14.1", "line 2: statsmodels changes the image's own numpy from 2.4.6 to 1.26.4"),
        ("rich\ntensorboardX==2.5.1", "line 2: tensorboardx changes the image's own protobuf "),
        ("google-cloud-vision==1.0.2", "line 1: google-cloud-vision changes the image's own protobuf from "),
        ("polars==0.0.99", "line 1: there is no version of polars==0.0.99"),
        ("rich\ntensorflow-addons", "line 2: all versions of tensorflow-addons have no wheels"),
    ],
)  # fmt: skip
def test_what_moves_or_cannot_be_had_is_a_failure(tmp_path: Path, image: Image, text: str, said: str) -> None:
    (failure,) = [one for one in found(tmp_path, text, image) if not one.warning]
    assert failure.text.startswith(f"src/requirements.txt, {said}")
    assert failure.fix
    assert failure.cloud


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docopt==0.6.2", "line 1: docopt 0.6.2 has no wheel for the image: every job builds it"),
        ("tensorflow-hub", "line 1: tensorflow-hub installs tensorflow 2.21.0 over the image's own tensorflow-cpu 2."),
        ("botocore-stubs\naioboto3==13.1.1", "line 2: aioboto3 changes the image's own "),
    ],
)  # fmt: skip
def test_what_works_and_may_not_be_meant_is_a_warning(tmp_path: Path, image: Image, text: str, said: str) -> None:
    findings = found(tmp_path, text, image)
    assert all(one.warning for one in findings)
    assert findings[0].text.startswith(f"src/requirements.txt, {said}"), findings


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "text",
    [
        "", "# nothing", "pandas>=2\nscikit-learn", "scikit-learn==1.5.0", "polars", "librosa; python_version < '3.9'",
        "keras-tuner", "plotnine>=0.13  # why", "-c limits.txt\npolars",
    ],
)  # fmt: skip
def test_what_leaves_the_image_as_it_is_passes(tmp_path: Path, image: Image, text: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/limits.txt").write_text("polars<2", encoding="utf-8")
    assert found(tmp_path, text, image) == []


@pytest.mark.long
def test_vertex_ai_has_an_image_of_its_own(tmp_path: Path) -> None:
    uri = vertex.image_uri("us-central1", "training", "container", "cpu")
    own = image_of(vertex.known_image(uri))
    assert own
    (failure,) = found(tmp_path, "statsmodels==0.14.1", own)
    assert "numpy from 2.4.6 to 1.26.4" in failure.text
    assert isinstance(check_resolution(code(tmp_path, "polars"), own), str)


def test_several_indexes_change_nothing_that_can_stay(tmp_path: Path, image: Image) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/index.html").write_text("<html></html>", encoding="utf-8")
    assert found(tmp_path, f"--extra-index-url {(tmp_path / 'empty').as_uri()}\nlibrosa", image) == []


def test_without_an_index_it_is_one_warning_or_what_was_known(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "statsmodels==0.14.1\n# for this test alone"
    plans = uv.cache() / "resolved"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (warning,) = found(tmp_path, text, image)
    assert warning.warning
    assert warning.text.startswith("the requirements are not resolved: ")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing"))
    (warning,) = found(tmp_path, text, image)
    assert warning.warning
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.delenv("UV_CACHE_DIR")
    before = set(plans.glob("*.json"))
    (failure,) = found(tmp_path, text, image)
    (kept,) = set(plans.glob("*.json")) - before
    # An index that has gone since: an old plan is better than none.
    os.utime(kept, (time.time() - 10 * resolving.FRESH,) * 2)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert found(tmp_path, text, image) == [failure]
    kept.write_text("{", encoding="utf-8")
    assert found(tmp_path, text, image)[0].warning
