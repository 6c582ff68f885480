"""The dated tables: they say when and where they were read, are on one page, and are compared with the newest SDKs."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

DATES = runpy.run_path(str(ROOT / "packaging" / "dates.py"))
PAGE = ROOT / "docs" / "versions.md"
PINS = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8")
FOUND = {
    "tensorflow-cpu": "2.21.0", "tensorflow-serving-api": "2.20.1", "keras": "3.15.1", "sagemaker": "3.27.4",
    "sagemaker-core": "2.27.0", "google-cloud-aiplatform": "2.7.0",
}  # fmt: skip
DAY = date(2026, 12, 1)


@pytest.fixture
def known() -> dict[str, Any]:
    return deepcopy(DATES["tables"]())


@pytest.fixture
def sdk(tmp_path: Path, known: dict[str, Any]) -> Path:
    """The files of both SDKs that are read, as the tables have them."""
    accounts, fewer = known["sagemaker"]["accounts"], known["sagemaker"]["only_with_everywhere"]
    config: dict[str, Any] = {"training": {"versions": {"2.9.2": {}}}, "inference": {"versions": {}}}
    for row in known["sagemaker"]["images"]:
        registries = {name: one for name, one in accounts.items() if "everywhere" in row or name not in fewer}
        content = {"registries": registries, "py_versions": [f"py{row['python'].replace('.', '')}"]}
        config[row["role"]]["versions"][f"{row['tensorflow']}.0"] = content
    write_config(tmp_path, config)
    constants = tmp_path / "google" / "cloud" / "aiplatform" / "constants"
    constants.mkdir(parents=True)
    regions = {*known["vertex"]["regions"], "global"}
    listed = ", ".join(f'"{region}"' for region in sorted(regions))
    (constants / "base.py").write_text(f"SUPPORTED_REGIONS = frozenset(\n    {{{listed}}}\n)\n")
    (constants / "prediction.py").write_text('TF = ["us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"]\n')
    return tmp_path


def config_of(sdk: Path) -> tuple[Path, dict[str, Any]]:
    file = sdk / "sagemaker" / "core" / "image_uri_config" / "tensorflow.json"
    return file, json.loads(file.read_text(encoding="utf-8"))


def write_config(sdk: Path, config: dict[str, Any]) -> None:
    file = sdk / "sagemaker" / "core" / "image_uri_config" / "tensorflow.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config), encoding="utf-8")


def test_no_default_image_gets_its_last_patches_within_60_days() -> None:
    assert list(DATES["ends_soon"](DATES["tables"](), date.today())) == []


def test_60_days_before_that_it_is_said_what_to_do(known: dict[str, Any]) -> None:
    assert list(DATES["ends_soon"](known, date(2027, 5, 11))) == []
    (said,) = DATES["ends_soon"](known, date(2027, 5, 12))
    assert said == (
        "sagemaker: the default training image (TensorFlow 2.21) gets its last patches on 2027-07-10, "
        "59 days from now: put a newer one first in onstage/sagemaker/requests/images.json "
        "(.venv/bin/python packaging/dates.py shows which there are), train and serve with it, and release"
    )


def test_the_page_in_docs_is_what_its_command_prints() -> None:
    command = [sys.executable, "-m", "docs.versions"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == PAGE.read_text(encoding="utf-8"), "python -m docs.versions > docs/versions.md"


def test_every_image_and_region_is_on_the_page_with_the_day_and_the_source(known: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for table in known.values():
        date.fromisoformat(table["read_on"])
        assert f"Read on {table['read_on']}. Sources: {table['source']}." in text
        for row in table["images"]:
            assert f"`{row['cpu']}` | `{row['gpu']}`" in text
        for region in table.get("accounts") or table["regions"]:
            assert f"`{region}`" in text


def test_the_questions_have_the_regions_of_the_tables(known: dict[str, Any]) -> None:
    regions = json.loads((ROOT / "regions.json").read_text(encoding="utf-8"))
    assert regions == {"aws_region": [*known["sagemaker"]["accounts"]], "gcp_region": known["vertex"]["regions"]}


def test_the_same_tables_are_no_difference(known: dict[str, Any], sdk: Path) -> None:
    assert list(DATES["newest_sagemaker"](known["sagemaker"], sdk)) == []
    assert list(DATES["newest_vertex"](known["vertex"], sdk)) == []
    assert list(DATES["newest_versions"](known, PINS, FOUND)) == []


def newer_image(config: dict[str, Any]) -> None:
    config["training"]["versions"]["2.22.1"] = config["training"]["versions"]["2.21.0"]


def another_python(config: dict[str, Any]) -> None:
    config["training"]["versions"]["2.21.0"]["py_versions"] = ["py313"]


def no_image(config: dict[str, Any]) -> None:
    del config["inference"]["versions"]["2.18.0"]


def more_and_fewer_regions(config: dict[str, Any]) -> None:
    registries = config["training"]["versions"]["2.21.0"]["registries"]
    registries["us-new-1"] = registries.pop("us-west-1")


def another_account(config: dict[str, Any]) -> None:
    config["inference"]["versions"]["2.20.0"]["registries"]["eu-west-1"] = "111122223333"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (newer_image, ["training images of TensorFlow 2.22, which the table has not"]),
        (another_python, ["training 2.21 has py313, the table Python 3.12"]),
        (no_image, ["no inference image of TensorFlow 2.18 any more"]),
        (
            more_and_fewer_regions,
            ["training 2.21: regions: the SDK has us-new-1 too", "training 2.21: regions: the SDK has no us-west-1"],
        ),
        (another_account, ["inference 2.20: eu-west-1 is account 111122223333, the table has 763104351884"]),
    ],
)
def test_a_newer_sdk_of_amazon_is_told_by_what_differs(
    change: Callable[[dict[str, Any]], None], said: list[str], known: dict[str, Any], sdk: Path
) -> None:
    _, config = config_of(sdk)
    change(config)
    write_config(sdk, config)
    assert list(DATES["newest_sagemaker"](known["sagemaker"], sdk)) == [f"sagemaker: {one}" for one in said]


def test_a_newer_sdk_of_google_is_told_by_what_differs(known: dict[str, Any], sdk: Path) -> None:
    constants = sdk / "google" / "cloud" / "aiplatform" / "constants"
    base = (constants / "base.py").read_text()
    (constants / "base.py").write_text(base.replace('"us-west1"', '"us-west9"'))
    (constants / "prediction.py").write_text('"vertex-ai/prediction/tf2-cpu.2-15" "vertex-ai/prediction/tf2-cpu.2-20"')
    assert list(DATES["newest_vertex"](known["vertex"], sdk)) == [
        "vertex: regions: the SDK has us-west9 too",
        "vertex: regions: the SDK has no us-west1",
        "vertex: the newest prebuilt prediction container has TensorFlow 2.20, the table 2.15",
    ]
    (constants / "base.py").write_text("")
    assert next(DATES["newest_vertex"](known["vertex"], sdk)).endswith("any more: mend packaging/dates.py")


def test_newer_versions_are_told(known: dict[str, Any]) -> None:
    newer = {"tensorflow-cpu": "2.22.0", "tensorflow-serving-api": "2.21.0", "sagemaker": "4.1.0", "keras": "3.16.0"}
    found = FOUND | newer
    assert list(DATES["newest_versions"](known, PINS, found)) == [
        "tensorflow-cpu 2.22.0: the training container of Vertex AI is 2.21",
        "tensorflow-serving-api 2.21.0: the serving container of Vertex AI is 2.20",
        "tensorflow-cpu 2.22.0: projects install 2.21.0",
        "sagemaker 4.1.0: the extra `sdk` installs 3.27",
    ]
    said = list(DATES["notes"](known, PINS, found, DAY))
    assert "keras 3.16.0 is the newest; projects install 3.15.1, which SageMaker's training image has" in said
    assert "vertex: the serving image of TensorFlow 2.15 is gone after 2027-01-14" in said
    assert not any(one.startswith("keras") for one in DATES["notes"](known, PINS, FOUND, DAY))


def test_an_index_that_does_not_answer_is_one_line_and_no_success(command: Any, tmp_path: Path) -> None:
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple", "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path)}
    others = {"UV_INDEX": "", "UV_EXTRA_INDEX_URL": "", "UV_INDEX_URL": "", "UV_NO_CONFIG": "1"}
    done = command(sys.executable, ROOT / "packaging" / "dates.py", cwd=tmp_path, environment={**nowhere, **others})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"the package index could not be asked: \S.*\n", done.stderr)
