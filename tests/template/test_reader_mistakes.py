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
from tests.template.reader_mistakes import (
    BATCHES,
    ENDLESS,
    EXAMPLES,
    HASHED,
    INPUTS,
    LISTED,
    MISTAKES,
    NAMED,
    PREPARE,
    ROWS,
    SCALE,
    SCALED,
    SERVE,
    SLICES,
    SPEC,
    TWO,
    WEIGHT,
    Change,
)

Use = Callable[..., Path]

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


@pytest.mark.few(1)
@pytest.mark.parametrize("case", RIGHT)
def test_a_right_reader_trains_and_is_served(train: Train, use: Use, case: str) -> None:
    use(RIGHT[case])
    result = train()
    assert len(result.response["predictions"]) == len(result.request["instances"])


@pytest.mark.long
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
