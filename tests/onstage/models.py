"""Small models, made by hand, each for one question to whoever serves it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def export_all(folder: Path) -> None:
    """Export them: `folder`/name/1, and more versions of one."""
    import keras
    import tensorflow as tf

    def save(name: str, *versions: int, **signatures: tuple[Callable, dict[str, Any]]) -> None:
        module = tf.Module()
        module.functions = {
            key: tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name=each)
                                                        for each, (shape, dtype) in inputs.items()])
            for key, (function, inputs) in signatures.items()
        }  # fmt: skip
        for version in versions or (1,):
            tf.saved_model.save(module, str(folder / name / str(version)), signatures=module.functions)

    dtypes = ("float32", "float64", "int32", "int64", "uint8", "bool", "string", "float16")
    save("types", **{dtype: (lambda x: {"y": x}, {"x": ([None], dtype)}) for dtype in dtypes})
    save(
        "shapes",
        serving_default=(lambda x: {"y": 2 * x}, {"x": ([None, 2, 2], "float32")}),
        scalar=(lambda x: {"y": 2 * x}, {"x": ([], "float32")}),
        sum=(lambda x: {"y": tf.reduce_sum(x)}, {"x": ([None], "float32")}),
        any=(lambda x: {"y": x}, {"x": (None, "float32")}),
        two=(lambda a, b: {"a": a, "b_bytes": b}, {"a": ([None], "int64"), "b": ([None], "string")}),
        uneven=(lambda x: {"a": x, "b": x[:1]}, {"x": ([None], "float32")}),
        ratio=(lambda x, y: {"r": x / y}, {"x": ([None], "float32"), "y": ([None], "float32")}),
    )
    save("versions", 1, 2, 10, serving_default=(lambda x: {"y": x}, {"x": ([None], "float32")}))

    # What newer versions of TensorFlow added; a branch is not taken, a function that no signature reaches does no harm.
    def read(decode: Callable) -> tuple[Callable, dict[str, Any]]:
        def choose(x: Any) -> dict[str, Any]:
            with tf.name_scope("reader_1"):
                size = tf.cond(x[0] > 1e9, lambda: tf.reduce_sum(tf.cast(decode(b""), tf.float32)), lambda: 0.0)
            return {"y": x + size}

        return choose, {"x": ([None], "float32")}

    def pick(policy: str) -> tuple[Callable, dict[str, Any]]:
        at = [[0], [7]]
        return lambda x: {"y": tf.gather_nd(x, at, bad_indices_policy=policy)}, {"x": ([None], "float32")}

    def mapped(x: Any) -> dict[str, Any]:
        rows = tf.data.Dataset.from_tensors(x).map(pick("IGNORE")[0], synchronous=True)
        return {"y": rows.reduce(x, lambda _, row: row["y"])}

    def gradient(x: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            product = tf.matmul(x[None], tf.ones([3, 2]))
        return {"y": tape.gradient(product, x)}

    parse = tf.raw_ops.StringToNumber
    save("jxl", serving_default=read(tf.io.decode_jxl))
    save("webp", serving_default=read(tf.io.decode_webp))
    save("policy", serving_default=pick("IGNORE"))
    save("default_policy", serving_default=pick(""))
    save("mapped", serving_default=(mapped, {"x": ([None], "float32")}))
    save("gradient", serving_default=(gradient, {"x": ([3], "float32")}))
    save("uint32", serving_default=(
        lambda x: {"y": x + tf.cast(parse(string_tensor="7", out_type=tf.uint32), tf.float32)},
        {"x": ([None], "float32")}))  # fmt: skip
    unreached = tf.Module()
    unreached.read = tf.function(tf.io.decode_webp, input_signature=[tf.TensorSpec([], tf.string)])
    unreached.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    tf.saved_model.save(unreached, str(folder / "unreached" / "1"), signatures=unreached.double)

    def in_python(x: Any) -> dict[str, Any]:
        return {"y": tf.ensure_shape(tf.py_function(lambda value: value + 1, [x], tf.float32), [None])}

    # Whatever seed was set before.
    chance = tf.raw_ops.RandomUniform
    save("chance", serving_default=(
        lambda x: {"y": x + chance(shape=tf.shape(x), dtype=tf.float32)}, {"x": ([None], "float32")}))  # fmt: skip
    save("python", serving_default=(in_python, {"x": ([None], "float32")}))

    class Wrapped(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.model(x)}

    wrapped = Wrapped()
    tf.saved_model.save(wrapped, str(folder / "keras" / "1"), signatures={"serving_default": wrapped.serve})

    def not_a_number(features: Any) -> dict[str, Any]:
        return {"value": tf.math.log(tf.reduce_sum(features, axis=1) - 1000.0)}

    save("nan", serving_default=(not_a_number, {"features": ([None, 4], "float32")}))
    save("half", serving_default=(lambda pair: {"half": pair[:, 0] / 2.0}, {"pair": ([None, 2], "float32")}))

    # What a batch job makes of a model: several inputs, an answer that depends on other rows, rows one at a time only.
    number, pairs = ([None], "float32"), {"pair": ([None, 2], "float32")}
    save("added", serving_default=(lambda a, b: {"y": a + b}, {"a": number, "b": number}))
    save("centred", serving_default=(lambda pair: {"y": pair[:, 0] - tf.reduce_mean(pair[:, 0])}, pairs))
    save("length", serving_default=(lambda text: {"y": tf.strings.length(text)}, {"text": ([None], "string")}))
    save("single", serving_default=(lambda pair: {"y": tf.reshape(pair, [1, 2])[:, 0]}, pairs))
