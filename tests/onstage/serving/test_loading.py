"""What TensorFlow Serving's loader refuses is refused, and also what it loads and cannot answer with."""

import shutil
import sys
from pathlib import Path

import httpx
import pytest

from onstage.errors import UserError
from onstage.serving.export_checks import file_ops, machine_paths, python_only_ops
from onstage.serving.process import ServingProcess
from tests.conftest import ROOT, Command
from tests.onstage.serving.asking import Ask, answers
from tests.template.cpp_loader import error_of


def test_an_export_that_only_python_can_serve_is_refused_by_name(
    server: ServingProcess, ask: Ask, exports: dict[str, Path]
) -> None:
    import numpy as np
    import tensorflow as tf

    folder = str(exports["keras"] / "1")
    served = tf.saved_model.load(folder).signatures["serving_default"]
    assert served(x=tf.ones([1, 2]))["y"].shape == (1, 1)
    assert "Could not find variable" in error_of(
        folder, ("serving_default_x:0", np.ones((1, 2), "float32")), "StatefulPartitionedCall:0"
    )
    assert answers(ask("keras", instances=[[1, 2]]), 400, "Could not find variable")
    with pytest.raises(
        UserError, match="(?s)loads model model, but cannot answer.*Could not find variable.*ExportArchive"
    ):
        server.load(exports["keras"])


# The C++ runtime in a process that has not imported TensorFlow's Python part, whose kernels TensorFlow Serving lacks.
WITHOUT_PYTHON = """
import importlib.util, sys, types
origin = importlib.util.find_spec("tensorflow").origin
tensorflow = sys.modules["tensorflow"] = types.ModuleType("tensorflow")
tensorflow.__file__ = origin
import numpy as np
from tests.template.cpp_loader import error_of
print(error_of(sys.argv[1], ("serving_default_x:0", np.ones(1, "float32")), "StatefulPartitionedCall:0"))
"""


def test_python_code_in_the_graph_is_named(
    server: ServingProcess, ask: Ask, exports: dict[str, Path], command: Command
) -> None:
    folder = exports["python"] / "1"
    (found,) = python_only_ops(folder)
    assert found.startswith("EagerPyFunc (node EagerPyFunc, in __inference_in_python")
    assert python_only_ops(exports["types"] / "1") == []
    oracle = command(sys.executable, "-c", WITHOUT_PYTHON, folder, cwd=ROOT)
    message = "No OpKernel was registered to support Op 'EagerPyFunc'"
    assert message in oracle.stdout, oracle.stderr
    refused = ask("python", instances=[1])
    assert answers(refused, 400, message), refused.text
    with pytest.raises(UserError, match="Python-only code in the graph: EagerPyFunc"):
        server.load(exports["python"])


def with_files(folder: Path) -> tuple[Path, Path]:
    """A model that writes when it is asked, and one that does so when it is loaded."""
    import tensorflow as tf
    from tensorflow.python.trackable.resource import CapturableResource

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(str(folder / "asked"), "x")
        tf.print("x", output_stream=f"file://{folder}/printed")
        return {"y": x + tf.strings.to_number(tf.io.read_file(str(folder / "number")))}

    def quiet(x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.print("a table")
        return {"y": x}

    class Table(CapturableResource):
        def _create_resource(self) -> tf.Tensor:
            return tf.constant(0)

        def _initialize(self) -> None:
            tf.io.write_file(str(folder / "loaded"), "x")

    for name, function in (("asked", serve), ("loaded", quiet)):
        module = tf.Module()
        module.serve = tf.function(function, input_signature=[tf.TensorSpec([None], name="x")])
        if name == "loaded":
            module.table = Table()
        tf.saved_model.save(module, str(folder / f"{name}_model" / "model" / "1"), signatures=module.serve)
    for written in ("asked", "printed", "loaded"):
        (folder / written).unlink(missing_ok=True)
    return folder / "asked_model", folder / "loaded_model"


def test_a_model_that_uses_files_is_named_and_writes_none_before_it_is_asked(
    server: ServingProcess, tmp_path: Path, exports: dict[str, Path]
) -> None:
    asked, loaded = with_files(tmp_path)
    assert file_ops(exports["types"] / "1") == []
    names = [operation.partition(" ")[0] for operation in file_ops(asked / "model" / "1")]
    assert sorted(names) == ["PrintV2", "ReadFile", "WriteFile"]
    before = len(server.log())
    assert server.load(asked).version == 1
    assert "warning: the model reads or writes files where it is served: WriteFile (node" in (
        server.log()[before:].replace("ReadFile", "WriteFile").replace("PrintV2", "WriteFile")
    )
    with pytest.raises(UserError, match=r"loading it writes to a file, which is not done here: WriteFile \(node"):
        server.load(loaded)
    # What the C++ loader would have done; it has no such scruples.
    assert not [name for name in ("asked", "printed", "loaded") if (tmp_path / name).exists()]
    assert error_of(str(loaded / "model" / "1")) == ""
    assert (tmp_path / "loaded").exists()


def test_a_model_without_inputs_is_refused_as_a_whole(server: ServingProcess, tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(lambda: {"y": tf.constant([1.0])}, input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "model" / "1"), signatures=module.serve)
    with pytest.raises(UserError, match="no signature has an input: TensorFlow Serving refuses every request"):
        server.load(tmp_path)
    refused = httpx.post(f"{server.rest_url}/v1/models/model:predict", json={"inputs": {}})
    assert answers(refused, 400, "Failed to get input map for signature: DEFAULT")


def damaged(source: Path, folder: Path, what: str) -> Path:
    """A copy of an export with something wrong."""
    version = folder / "model" / "1"
    shutil.copytree(source, version)
    if what == "no variables":
        shutil.rmtree(version / "variables")
    elif what == "cut off":
        file = version / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:-1000])
    elif what == "another tag":
        import tensorflow as tf
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        content = SavedModel.FromString((version / "saved_model.pb").read_bytes())
        content.meta_graphs[0].meta_info_def.tags[:] = ["train"]
        assert tf.saved_model.SERVING == "serve"
        (version / "saved_model.pb").write_bytes(content.SerializeToString())
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [("", ""), ("cut off", "Cannot parse file"), ("another tag", "MetaGraphDef")],
)
def test_what_the_cpp_loader_refuses_is_refused(
    what: str, message: str, server: ServingProcess, iris: Path, tmp_path: Path
) -> None:
    folder = damaged(iris / "model" / "1", tmp_path, what)
    said = error_of(str(folder / "model" / "1"))
    if not what:
        assert said == ""
        assert server.load(folder).version == 1
        return
    assert said != ""
    with pytest.raises(UserError, match=message):
        server.load(folder)


def test_variables_that_are_missing_are_refused_before_the_first_request(
    server: ServingProcess, iris: Path, tmp_path: Path
) -> None:
    folder = damaged(iris / "model" / "1", tmp_path, "no variables")
    # The C++ loader restores nothing and says nothing; an endpoint would fail at every request.
    assert error_of(str(folder / "model" / "1")) == ""
    with pytest.raises(UserError, match="model/1: ValueError: The passed save_path is not a valid checkpoint"):
        server.load(folder)


def test_a_numbered_folder_without_a_model_is_refused_as_a_version(
    server: ServingProcess, iris: Path, tmp_path: Path
) -> None:
    folder = damaged(iris / "model" / "1", tmp_path, "")
    (folder / "model" / "2").mkdir()
    with pytest.raises(UserError, match="model/2: OSError: SavedModel file does not exist"):
        server.load(folder)


def test_an_export_that_names_a_place_on_this_machine_is_found(project: Path, iris: Path, tmp_path: Path) -> None:
    assert machine_paths(iris / "model", [project, iris]) == []
    folder = damaged(iris / "model" / "1", tmp_path, "")
    (folder / "model/1/assets/vocabulary.txt").write_text(f"{project}/data\n")
    assert machine_paths(folder / "model", [project, iris]) == [f"1/assets/vocabulary.txt names {project}"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_model_is_loaded_from_a_folder_that_looks_like_a_pattern(
    server: ServingProcess, iris: Path, tmp_path: Path
) -> None:
    folder = damaged(iris / "model" / "1", tmp_path / "old [1] a*b", "")
    assert server.load(folder).version == 1
