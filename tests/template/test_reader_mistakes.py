"""A reader that cannot work is named in one sentence, before the first step; a right one trains and is served."""

import shutil
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import Bake, Command
from tests.onstage.readers import page
from tests.template.conftest import Train

Change = tuple[str, str]
Use = Callable[..., Path]

PREPARE = "def prepare(self, train, evaluation):"
INPUTS = 'return {"size": keras.Input((3,), name="size")}'
ROWS = "self.train_rows, self.eval_rows = "
BATCHES = "def batches(self, training, batch_size, seed=0):"
ENDLESS = "(data.shuffle(200, seed=seed).repeat() if training else data).batch(batch_size)"
SLICES = '({"size": features}, target, np.ones(len(target), "float32"))'
WEIGHT = 'np.ones(len(target), "float32")'
SERVE = 'return {"serving_default": (serve, [tf.TensorSpec([None, 3], tf.float32, name="size")])}, []'
SPEC = '[tf.TensorSpec([None, 3], tf.float32, name="size")]'
ANSWER = 'return {"width": output[:, 0]}'
EXAMPLES = "def examples(self, count=3):"
LISTED = "return self.rows[False][0][:count].tolist()"
CHECK = "    def check_output(self, output):\n        return None\n"
NAMED = (SPEC, '[{"size": tf.TensorSpec([None, 3], tf.float32)}]')
SCALE = "scale = keras.layers.Rescaling(1.0)\n        "
SCALED = SERVE.replace("(serve,", "(lambda size: serve(scale(size)),").replace("[]", "[scale]")
HASHED = """\
hidden = keras.layers.Embedding(50, 2)(keras.layers.Hashing(50)(inputs["size"]))
    hidden = keras.layers.Flatten()(hidden)"""
TWO = """\
(hidden))
    network = keras.Model(inputs, [keras.layers.Dense(1)(hidden), keras.layers.Dense(1)(hidden)])
"""

# What is changed in a right reader, and what is said of it.
MISTAKES: dict[str, tuple[Change | Sequence[Change], str]] = {
    "the class": (
        ("DATA = Flowers()", "DATA = Flowers"), "DATA must be an object, not the class Flowers: write Flowers()",
    ),
    "something else": (
        ("DATA = Flowers()", "DATA = np.ones(3)"),
        "DATA.prepare must be a method, prepare(self, train, evaluation); ndarray has none",
    ),
    "no check_output": (
        (CHECK, ""), "DATA.check_output must be a method, check_output(self, output); Flowers has none",
    ),
    "a member that is no method": (
        ("    def inputs(self):\n        return", "    inputs ="),
        "DATA.inputs must be a method, inputs(self); Flowers has a dict there",
    ),
    "one place for both": (
        [(PREPARE, "def prepare(self, train):"), ("load(evaluation)", "load(train)")],
        "DATA.prepare must be a method, prepare(self, train, evaluation); it is prepare(self, train)",
    ),
    "no seed": (
        [(BATCHES, "def batches(self, training, batch_size):"), (", seed=seed", "")],
        "batches(self, training, batch_size, seed=0); it is batches(self, training, batch_size)",
    ),
    "examples that must be told how many": (
        (EXAMPLES, "def examples(self, count):"),
        "DATA.examples must be a method, examples(self, count=3); it is examples(self, count)",
    ),
    "no train_rows": (
        (ROWS, "self.rows_of_train, self.eval_rows = "),
        "DATA.train_rows must be a whole number, 1 or more, when prepare is done; there is none",
    ),
    "no rows": (
        (ROWS, "self.train_rows, self.eval_rows = 0, 30 #"),
        "DATA.train_rows must be a whole number, 1 or more, when prepare is done; it is 0",
    ),
    "rows as a float": (
        (ROWS, "self.train_rows, self.eval_rows = 120, 30.0 #"),
        "DATA.eval_rows must be a whole number, 1 or more, when prepare is done; it is 30.0",
    ),
    "rows as a tensor": (
        (ROWS, "self.train_rows, self.eval_rows = tf.constant(120), 30 #"),
        "when prepare is done; it is an EagerTensor: write int(...)",
    ),
    "fewer rows than it says": (
        (ROWS, "self.train_rows, self.eval_rows = 120, 31 #"),
        "DATA.eval_rows must be the number of rows of batches(False); it is 31, and those are 30",
    ),
    "more rows than it says": (
        (ROWS, "self.train_rows, self.eval_rows = 120, 20 #"),
        "DATA.eval_rows must be the number of rows of batches(False); it is 20, and those are 30 or more",
    ),
    "a remainder dropped": (
        (ENDLESS, ENDLESS.replace("batch_size)", "batch_size, drop_remainder=True)")),
        "DATA.eval_rows must be the number of rows of batches(False); it is 30, and those are 16",
    ),
    "inputs in a list": (
        (INPUTS, 'return [keras.Input((3,), name="size")]'),
        "DATA.inputs must return {name: keras.Input(shape, name=name)}; it returned a list",
    ),
    "inputs of numbers": (
        (INPUTS, 'return {"size": np.ones(3)}'),
        "DATA.inputs must return {name: keras.Input(shape, name=name)}; it has a ndarray for 'size'",
    ),
    "batches that nobody called": (
        ("return (data", "return lambda: (data"),
        "DATA.batches must return a tf.data.Dataset; it returned a function that nobody called: add ()",
    ),
    "a list of batches": (
        ("return (data", "return [] and (data"), "DATA.batches must return a tf.data.Dataset; it returned a list",
    ),
    "no weight": (
        (SLICES, '({"size": features}, target)'),
        "(features, target, weight); in training it gives 'size': float32 of the shape (None, 3), float32 of the shape",
    ),
    "features without a name": (
        (SLICES, SLICES.replace('{"size": features}', "features")),
        "features a dict as DATA.inputs has them, ['size']; in training it gives a TensorSpec",
    ),
    "features of another name": (
        ('({"size": features}', '({"sizes": features}'),
        "features a dict as DATA.inputs has them, ['size']; in training it gives ['sizes']",
    ),
    "more features than inputs": (
        ('({"size": features}', '({"name": np.arange(len(target)), "size": features}'),
        "features a dict as DATA.inputs has them, ['size']; in training it gives ['name', 'size']",
    ),
    "features of another shape": (
        (INPUTS, INPUTS.replace("(3,)", "(4,)")),
        "'size' is float32 of the shape (None, 4) there, and float32 of the shape (16, 3) in a batch (in training)",
    ),
    "texts for numbers": (
        ('({"size": features}', '({"size": features.astype(str)}'), "and string of the shape (16, 3) in a batch",
    ),
    "training that ends": (
        (".repeat() if", " if"), "DATA.batches must not end in training: write .repeat() behind its shuffle",
    ),
    "training that ends, and does not say so": (
        (ENDLESS, ENDLESS.replace(".repeat()", "") + ".filter(lambda *_: True)"),
        "DATA.batches must not end in training; it did after 120 rows",
    ),
    "evaluation without an end": (
        ("if training else data)", "if training else data.repeat())"),
        "DATA.batches must end in evaluation, after one pass: leave out .repeat()",
    ),
    "no batch": (
        ("if training else data)", "if training else data.filter(lambda *_: False))"),
        "DATA.batches must give a batch; in evaluation it gives none",
    ),
    "fewer targets than rows": (
        (ENDLESS, ENDLESS + ".map(lambda x, y, w: (x, y[1:], w))"),
        "weight) of as many rows; 'size' has 16, the target has 15, the weight has 16 (in training)",
    ),
    "a weight of a batch": (
        (ENDLESS, ENDLESS + ".map(lambda x, y, w: (x, y, 1.0))"), "of as many rows; the weight is a single value",
    ),
    "several weights a row": (
        [(WEIGHT, 'np.ones((len(target), 2), "float32")'), ("target, np", "target[:, 0], np")],
        "DATA.batches must give (features, target, weight), one weight a row; its shape is (16, 2)",
    ),
    "check_output that answers a question": (
        (CHECK, CHECK.replace("None", "True")),
        "DATA.check_output must return None, or a text that says what is wrong; it returned True",
    ),
    "a signature that is an answer": (
        (SERVE, 'return predict({"size": tf.zeros([1, 3])})'),
        "DATA.signatures must return ({name: (function, [spec])}, layers); it returned an EagerTensor",
    ),
    "signatures without layers": (
        (SERVE, SERVE.replace("}, []", "}")),
        "DATA.signatures must return ({name: (function, [spec])}, layers); it returned a dict",
    ),
    "layers in a dict": (
        (SERVE, SERVE.replace("}, []", "}, {}")),
        "layers a list of those that the functions use beside the model; it has a dict",
    ),
    "a layer that is not built": (
        (SERVE, SCALE + SCALED),
        "layers that are built; 'rescaling",
    ),
    "no default signature": (
        (SERVE, SERVE.replace("serving_default", "named")),
        "one for 'serving_default', which endpoints ask; it has ['named']",
    ),
    "a signature without a spec": ((SERVE, SERVE.replace(SPEC, "[]")), "for 'serving_default' it has a list"),
    "a spec without a list": (
        (SERVE, SERVE.replace(SPEC, SPEC[1:-1])), "for 'serving_default' it has float32 of the shape (None, 3)",
    ),
    "a function alone": (
        (SERVE, SERVE.replace(f"(serve, {SPEC})", "serve")), "for 'serving_default' it has a function",
    ),
    "NumPy in the graph": (
        ('predict({"size": size})', 'predict({"size": size.numpy()})'), "model.py, line 32: AttributeError: ",
    ),
    "features that the network does not have": (
        ('predict({"size": size})', 'predict({"sizes": size})'),
        "model.py, line 32: ValueError: Missing data for input",
    ),
    "an answer without a name": (
        (ANSWER, "return output[:, 0]"),
        "DATA.signatures must answer with a dict of tensors by their names; 'serving_default' does with ",
    ),
    "one answer for all rows": (
        (ANSWER, 'return {"width": tf.reduce_mean(output)}'),
        "DATA.signatures must answer each row; 'width' of 'serving_default' has the shape () for 3 rows",
    ),
    "examples in an array": (
        (LISTED, LISTED.replace(".tolist()", "")),
        "DATA.examples must return a list of rows, as JSON has them; it returned a ndarray: add .tolist()",
    ),
    "examples of arrays": (
        (LISTED, f"return list({LISTED[7:-9]})"), "as JSON has them: Object of type ndarray is not JSON serializable",
    ),
    "no examples": (
        (LISTED, "return []"), "DATA.examples must return a list of rows, as JSON has them; it returned none",
    ),
    "another number of examples": (
        (LISTED, "return self.rows[False][0].tolist()"),
        "DATA.examples must return the first `count` rows of batches(False); asked for 2, it gave 30",
    ),
    "examples by name": (
        (LISTED, f'return [{{"size": row}} for row in {LISTED[7:]}]'),
        "signature 'serving_default', whose rows have no names; row 1 is an object with ['size']",
    ),
    "examples of another name": (
        [NAMED, (LISTED, f'return [{{"sizes": row}} for row in {LISTED[7:]}]'), ('{"size": size}', "size")],
        "whose rows are objects with ['size']; row 1 has ['sizes']",
    ),
    "examples without a name": (
        [NAMED, ('{"size": size}', "size")],
        "whose rows are objects with ['size']; row 1 is a list",
    ),
    "examples of another length": (
        (LISTED, LISTED.replace("[:count]", "[:count, :2]")),
        "the signature 'serving_default', float32 of the shape (None, 3); size has the shape (3, 2)",
    ),
    "examples of another type": (
        (LISTED, f"return [[str(one) for one in row] for row in {LISTED[7:]}]"),
        "DATA.examples must fit the signature 'serving_default', float32 of the shape (None, 3); ",
    ),
    "bytes in examples": (
        (LISTED, 'return [b"abc"] * count'),
        'Object of type bytes is not JSON serializable; bytes are {"b64": base64.b64encode(them).decode()}',
    ),
    "examples that are no base64": (
        [(SPEC, "[tf.TensorSpec([None], tf.string)]"), (LISTED, 'return [{"b64": "?"}] * count'),
         ('{"size": size}', '{"size": tf.io.decode_raw(size, tf.float32)}')],
        "DATA.examples must fit the signature 'serving_default', string of the shape (None,); ",
    ),
    "an example that the signature refuses": (
        ('predict({"size": size})', 'predict({"size": tf.ensure_shape(size, [2, 3])})'),
        "model.py, line 32: InvalidArgumentError: Shape of tensor size [3,3] is not compatible with ",
    ),
}  # fmt: skip

RIGHT: dict[str, Change | Sequence[Change]] = {
    "as it is": (),
    "optional parameters": [
        (PREPARE, "def prepare(self, train, evaluation, *more, shuffled=True):"),
        (BATCHES, "def batches(self, training, batch_size, seed=0, cache=False):"),
    ],
    "parameters by their names only": [
        (BATCHES, "def batches(self, training, batch_size, *, seed=0):"), (EXAMPLES, "def examples(self, *, count=3):"),
    ],
    "examples without a count": [(EXAMPLES, "def examples(self):"), ("[:count]", "[:2]")],
    "a property": (
        ROWS + "(len(self.rows[which][0]) for which in (True, False))",
        "pass\n\n    train_rows = property(lambda self: len(self.rows[True][0]))\n    eval_rows = np.int64(30)",
    ),
    "a target in a tuple": [
        (SLICES, SLICES.replace("target,", "(target, target),")),
        ('"mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")]', '["mse", "mae"]'),
        ("network = keras.Model(inputs, keras.layers.Dense(1)(", "hidden = ("),
        ("(hidden)))\n", TWO),
        ("output[:, 0]", "output[0][:, 0]"), ('"val_mae"', '"val_loss"'),
    ],
    "one number a row, without a dimension of its own": [
        (INPUTS, INPUTS.replace("(3,)", "(1,)")), ('{"size": features}', '{"size": features[:, 0]}'),
        (SPEC, SPEC.replace("[None, 3]", "[None]")), (LISTED, LISTED.replace("[:count]", "[:count, 0]")),
    ],
    "several signatures": (
        SERVE,
        SERVE.replace("}, [", ', "other": (lambda row: serve(row["size"]), [{"size": tf.TensorSpec([None, 3])}])}, ['),
    ),
    "rows with names": [
        NAMED,
        (LISTED, f'return [{{"size": row}} for row in {LISTED[7:]}]'), ('{"size": size}', "size"),
    ],
    "bytes": [
        (SPEC, "[tf.TensorSpec([None], tf.string)]"), ("import keras\n", "import base64\n\nimport keras\n"),
        (LISTED, 'return [{"b64": base64.b64encode(row.tobytes()).decode()} for row in self.rows[False][0][:count]]'),
        ('{"size": size}', '{"size": tf.ensure_shape(tf.io.decode_raw(size, tf.float32), [None, 3])}'),
    ],
    "whole numbers of a byte": [
        ('{"size": features}', '{"size": features.astype("uint8")}'),
        (INPUTS, INPUTS.replace("(3,)", '(3,), dtype="uint8"')),
    ],
    "rows of several lengths": [
        ('{"size": features}', '{"size": tf.RaggedTensor.from_row_lengths(features.ravel(), [3] * len(target))}'),
        (INPUTS, 'return {"size": keras.Input((None,), name="size", ragged=True)}'),
        ('hidden = inputs["size"]', 'hidden = keras.ops.sum(inputs["size"], 1, keepdims=True)'),
        ('predict({"size": size})', 'predict({"size": tf.RaggedTensor.from_tensor(size)})'),
    ],
    "texts": [
        ('{"size": features}', '{"size": features.astype(str)}'),
        (INPUTS, INPUTS.replace("(3,)", '(3,), dtype="string"')),
        ('hidden = inputs["size"]', HASHED),
        (SPEC, SPEC.replace("tf.float32", "tf.string")), (LISTED, LISTED.replace("[:count]", "[:count].astype(str)")),
    ],
    "an order of its own, without an end that is known": (ENDLESS, ENDLESS + ".filter(lambda *_: True)"),
    "a layer of its own in the signature": [
        (SERVE, SCALE + "scale(np.ones((1, 3)))\n        " + SCALED),
    ],
}  # fmt: skip


@pytest.fixture
def use(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Use:
    """Put a reader's page, with these changes, in the place of model.py."""
    from trainer import model

    def put(changes: Change | Sequence[Change]) -> None:
        text = page()
        for old, new in [changes] if changes and isinstance(changes[0], str) else changes:
            assert old in text, old
            text = text.replace(old, new)
        # Where the trainer's own explanations look for the researcher's lines; AutoGraph reads a file once.
        file = project / "src" / "trainer" / f"{tmp_path.name}.py"
        file.write_text(text, encoding="utf-8")
        module = types.ModuleType(tmp_path.name)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102
        for name in ("DATA", "OBJECTIVE", "Hyperparameters", "build_model"):
            monkeypatch.setattr(model, name, getattr(module, name))

    yield put
    (project / "src" / "trainer" / f"{tmp_path.name}.py").unlink(missing_ok=True)


@pytest.mark.few(14)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_before_the_first_step(
    train: Train, use: Use, capsys: pytest.CaptureFixture[str], tmp_path: Path, mistake: str
) -> None:
    from trainer.run import UserError

    changes, said = MISTAKES[mistake]
    use(changes)
    with pytest.raises(UserError) as refused:
        train()
    text = str(refused.value).replace(f"trainer/{tmp_path.name}.py", "model.py")
    assert said in text
    assert text.startswith("model.py: DATA") or said.startswith("model.py, line ")
    assert "\n" not in text
    assert "epoch=" not in capsys.readouterr().out
    assert not (tmp_path / "job" / "model").exists()


@pytest.mark.few(4)
@pytest.mark.parametrize("case", RIGHT)
def test_a_right_reader_trains_and_is_served(train: Train, use: Use, case: str) -> None:
    use(RIGHT[case])
    result = train()
    assert len(result.response["predictions"]) == len(result.request["instances"])


def test_train_py_ends_with_the_sentence_alone(bake: Bake, tmp_path: Path, command: Command) -> None:
    project = Path(shutil.copytree(bake(), tmp_path / "project"))
    file = project / "src" / "trainer" / "model.py"
    file.write_text(page().replace(WEIGHT, f"{WEIGHT}[:, None, None]"), encoding="utf-8")
    done = command(sys.executable, "train.py", cwd=project)
    said = (
        "error: model.py: DATA.batches must give (features, target, weight), one weight a row; its shape is (16, 1, 1)"
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"{said} (in training)")
    assert "Traceback" not in done.stderr
    assert "epoch=" not in done.stdout


def test_bytes_of_a_request_are_base64(train: Train, use: Use) -> None:
    from trainer.export import Predictor
    from trainer.run import UserError

    use(RIGHT["bytes"])
    result = train()
    predictor = Predictor(result.export_dir)
    # Three numbers: 1, and twice 0, whose bytes end in zeros.
    row = {"b64": "AACAPwAAAAAAAAAA"}
    assert len(predictor.predict({"instances": [row, row]})["predictions"]) == 2
    with pytest.raises(UserError, match=r'^\{"b64": "\?"\} is no base64: '):
        predictor.predict({"instances": [{"b64": "?"}]})


def test_what_rows_lacks_is_named(project: Path) -> None:
    from trainer.reader import Rows, prepare
    from trainer.run import UserError

    class Numbers(Rows):
        def prepare(self, train: str, evaluation: str) -> None: ...

        def signatures(self, predict: Callable) -> tuple[dict, list]:
            return {}, []

        def examples(self, count: int = 3) -> list:
            return [1.0, 2.0][:count]

    with pytest.raises(
        UserError, match=r"^model\.py: DATA\.rows must be a method, rows\(self, training\); Numbers has"
    ):
        prepare(Numbers(), "train", "eval")
    Numbers.rows = lambda self, training: ({"x": [1.0, 2.0]}, [3.0, 4.0])
    reader = Numbers()
    prepare(reader, "train", "eval")
    assert (reader.train_rows, reader.inputs()["x"].shape) == (2, (None,))
    (batch,) = reader.batches(False, 5)
    assert [part.numpy().tolist() for part in batch[1:]] == [[3.0, 4.0], [1.0, 1.0]]
