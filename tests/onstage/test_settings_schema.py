"""The JSON schema of settings.toml for editors: the page in docs/, what fits it and what does not."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import Bake
from tests.onstage import small
from tests.onstage.small import forked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = small.ROOT / "docs" / "settings.schema.json"
SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))


def mistakes(text: str) -> list[str]:
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(tomllib.loads(text))
    return [error.message for error in found]


def nodes(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)


def test_the_file_in_the_docs_is_what_the_command_prints_outside_of_a_project(tmp_path: Path) -> None:
    done = forked("settings", "--schema", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == FILE.read_text(encoding="utf-8"), "onstage settings --schema > docs/settings.schema.json"
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
@pytest.mark.parametrize("platform", ["both", "sagemaker", "vertex"])
def test_every_rendered_file_fits_and_not_with_a_misspelt_key(bake: Bake, platform: str, accelerator: str) -> None:
    text = (bake(platform=platform, accelerator=accelerator) / "settings.toml").read_text(encoding="utf-8")
    assert mistakes(text) == []
    keys = re.findall(r"(?m)^(\w+) =", text)
    assert len(keys) > 8
    for key in set(keys):
        assert mistakes(re.sub(rf"(?m)^{key} =", f"{key}x =", text)), key
    assert mistakes(text.replace("[rehearsal]", "[rehearsl]"))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('[rehearsal.ignore]\n"vertex.gcs" = "a"', '[rehearsal.ignore]\n"vertex.gsc" = "a"'),
        ('[rehearsal.ignore]\nvertex.gcs = "a"', '[rehearsal.ignore]\nvertex.gsc = "a"'),
        ('[rehearsal.ignore]\n"vertex.gcs" = "a"', '[rehearsal.ignore]\n"vertex.gcs" = " "'),
        ('[rehearsal.ignore]\n"vertex.gcs" = "a"', '[rehearsal.ignore]\n"vertex.train" = "a"'),
        ("[rehearsal]\ntime_limit = 1", "[rehearsal]\ntime_limit = 0"),
        ("[rehearsal]\ntime_limit = 1", '[rehearsal]\ntime_limit = "1"'),
        ("[rehearsal.hyperparameters]\na = 1", "[rehearsal.hyperparameters]\na = [1]"),
        ("[sagemaker.serverless]\nmemory_mb = 2048", "[sagemaker.serverless]\nmemory_mb = 2000"),
        ("[sagemaker.serverless]", "[sagemaker.servreless]"),
    ],
)
def test_a_mistake_does_not_fit_and_its_neighbour_does(good: str, bad: str) -> None:
    assert mistakes(f"{small.SETTINGS}{good}\n") == []
    assert mistakes(f"{small.SETTINGS}{bad}\n")


def test_every_key_says_what_it_means_and_nothing_is_for_python_only() -> None:
    for section in [SCHEMA, *SCHEMA["$defs"].values()]:
        assert section["additionalProperties"] is False
        assert section["description"].endswith(".")
        for name, key in section["properties"].items():
            assert "description" in key or "$ref" in key, name
    assert not any(isinstance(node.get("title"), str) for node in nodes({**SCHEMA, "title": {}}))
    assert '"null"' not in FILE.read_text(encoding="utf-8")
