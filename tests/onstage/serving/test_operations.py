"""What a model needs of the server's version of TensorFlow is what that version's own C++ loader refuses."""

import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from onstage.sagemaker.requests import images as sagemaker_images
from onstage.serving import operations
from onstage.serving.operations import needs, producer, version
from onstage.vertex.requests import images as vertex_images
from tests.conftest import ROOT, Command

SCRIPT = ROOT / "packaging" / "operations.py"
TABLE = json.loads(Path(operations.__file__).with_name("operations.json").read_text(encoding="utf-8"))
OLD = "2.15"
# By name: what it needs in words, at which place, in which layer, from which version on; whether it is a hint.
NEEDS = {
    "jxl": ("DecodeJxl", "reader_1/cond/DecodeJxl", "reader", (2, 21), False),
    "webp": ("DecodeWebP", "reader_1/cond/DecodeWebP", "reader", (2, 20), False),
    "policy": ("bad_indices_policy='IGNORE' of GatherNd", "GatherNd", "", (2, 17), False),
    "uint32": ("out_type=uint32 of StringToNumber", "StringToNumber", "", (2, 17), False),
    "gradient": ("grad_a=True of MatMul", "gradient_tape/MatMul/MatMul", "MatMul", (2, 16), True),
}
# Of version 2.15, each asked by one request; nothing for an answer.
SAID = {
    "webp": "Op type not registered 'DecodeWebP' in binary",
    "policy": "indices[1] = [7] does not index into param shape [3]",
    "mapped": "indices[1] = [7] does not index into param shape [3]",
    "uint32": "Value for attr 'out_type' of uint32 is not in the list of allowed values",
    "gradient": "",
    "unreached": "",
    "versions": "",
}
ASK = """
import sys
from pathlib import Path
import numpy as np
from tests.template.cpp_loader import error_of
model, output, library = sys.argv[1:]
print(error_of(model, ("serving_default_x:0", np.ones(3, "float32")), output, Path(library)))
"""


@pytest.fixture(scope="module")
def script() -> Any:
    """The module that makes the table; `packaging` is also a library's name."""
    spec = importlib.util.spec_from_file_location("make_operations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def old(script: Any) -> Path:
    """The oldest version's libraries, unpacked once; no Python of that age is needed."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the libraries in the wheels of TensorFlow 2.15 are Linux's on x86-64")
    folder = ROOT / "build" / "oracles" / f"tensorflow-{OLD}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}-unfinished")
        script.install(OLD, unfinished)
        unfinished.rename(folder)
    return folder / "tensorflow"


@pytest.mark.parametrize("name", NEEDS)
def test_what_a_model_needs_is_found_with_its_place(name: str, exports: dict[str, Path]) -> None:
    (need,) = needs(exports[name] / "1")
    assert (need.what, need.place, need.layer, need.since, need.is_hint) == NEEDS[name]


def test_a_function_of_a_dataset_is_a_part_of_the_model(exports: dict[str, Path]) -> None:
    found = {need.what: need for need in needs(exports["mapped"] / "1")}
    assert set(found) == {"bad_indices_policy='IGNORE' of GatherNd", "force_synchronous=True of MapDataset"}
    assert found["force_synchronous=True of MapDataset"].is_hint
    assert found["bad_indices_policy='IGNORE' of GatherNd"].place == "MapDataset/GatherNd"


@pytest.mark.parametrize("name", ["default_policy", "unreached", "versions"])
def test_a_default_and_what_no_request_reaches_need_nothing(name: str, exports: dict[str, Path]) -> None:
    assert needs(exports[name] / "1") == []


def test_the_default_project_can_be_served_by_every_version(iris: Path) -> None:
    import tensorflow as tf

    assert needs(iris / "model" / "1") == []
    assert producer(iris / "model" / "1") == version(tf.__version__)


def test_a_default_that_is_written_out_needs_nothing(exports: dict[str, Path], tmp_path: Path) -> None:
    """As `tf.compat.v1.saved_model.Builder` leaves it without strip_default_attrs; 2.15 was seen to answer, too."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    for name, policy, count in (("default_policy", b"", 0), ("default_policy", b"ERROR", 1)):
        model = SavedModel.FromString((exports[name] / "1" / "saved_model.pb").read_bytes())
        functions = model.meta_graphs[0].graph_def.library.function
        nodes = [node for function in functions for node in function.node_def if node.op == "GatherNd"]
        assert nodes and not any("bad_indices_policy" in node.attr for node in nodes)
        for node in nodes:
            node.attr["bad_indices_policy"].s = policy
        (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
        assert len(needs(tmp_path)) == count


def test_the_table_has_the_versions_of_all_images(script: Any) -> None:
    assert script.versions() == [TABLE["oldest"], *TABLE["added"]], f"run {SCRIPT.relative_to(ROOT)}"
    for module, role in ((sagemaker_images, "inference"), (vertex_images, "serving")):
        rows = [row for row in module._table()["images"] if row["role"] == role]
        uris = [row["cpu"] if "/" in row["cpu"] else f"/tensorflow-inference:{row['cpu']}" for row in rows]
        assert [module.serving_version(uri) for uri in uris] == [row["tensorflow"] for row in rows]


def test_the_newest_version_of_the_table_has_all_that_it_tells(script: Any) -> None:
    """The library that is installed here, which trains and exports, lists the same operations and attributes."""
    import tensorflow as tf

    assert version(tf.__version__) == operations.known()[1]
    here = script.operations(Path(tf.__file__).parent)
    for step in TABLE["added"].values():
        assert set(step["operations"]) <= here.keys()
        for name, attributes in step["attributes"].items():
            defaults = {one.name: script.value(one.default_value) for one in here[name].attr}
            assert attributes.items() <= defaults.items()
        for name, attributes in step["values"].items():
            allowed = {one.name: set(script.allowed(one)[1] or values) for one in here[name].attr
                       for _, values in [attributes.get(one.name, ["", []])]}  # fmt: skip
            assert all(set(values) <= allowed[one] for one, (_, values) in attributes.items())


@pytest.mark.long
def test_the_oldest_version_lacks_just_what_the_table_tells(script: Any, old: Path) -> None:
    import tensorflow as tf

    before, now = script.operations(old), script.operations(Path(tf.__file__).parent)
    listed = {name for step in TABLE["added"].values() for name in step["operations"]}
    assert now.keys() - before.keys() == listed
    for name in before.keys() & now.keys():
        attributes = {one.name for one in now[name].attr} - {one.name for one in before[name].attr}
        steps = [step["attributes"].get(name, {}) for step in TABLE["added"].values()]
        assert attributes == {one for step in steps for one in step}, name


@pytest.mark.long
@pytest.mark.parametrize("name", SAID)
def test_the_oldest_version_refuses_what_it_lacks_and_answers_the_rest(
    name: str, exports: dict[str, Path], old: Path, command: Command
) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    folder = exports[name] / "1"
    model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    output = model.meta_graphs[0].signature_def["serving_default"].outputs["y"].name
    done = command(sys.executable, "-c", ASK, folder, output, old, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    if SAID[name]:
        assert SAID[name] in done.stdout
    else:
        assert not done.stdout.strip()
    # What is refused is what is found.
    assert bool(SAID[name]) == any(not need.is_hint for need in needs(folder))
