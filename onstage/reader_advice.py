"""What is wrong with data that is no table, DATA of model.py: its members, its batches, what its endpoint will answer.

As advice.py it is run by a project's trainer, which has TensorFlow. Each function answers with a sentence about DATA,
or None; it looks at one batch of each kind, and counts rows for a second. An exception of the researcher's own code
goes through: the trainer names its line.
"""

import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

SECONDS = 1.0
_MEMBERS = {
    "prepare": "train, evaluation",
    "inputs": "",
    "batches": "training, batch_size, seed=0",
    "signatures": "predict",
    "examples": "count=3",
    "check_output": "output",
}
_BATCHES = "DATA.batches must give (features, target, weight)"
_EVAL_ROWS = "DATA.eval_rows must be the number of rows of batches(False)"
_SIGNATURES = "DATA.signatures must return ({name: (function, [spec])}, layers)"
_DEFAULT = "'serving_default'"
_EXAMPLES = "DATA.examples must return a list of rows, as JSON has them"
_BYTES = '; bytes are {"b64": base64.b64encode(them).decode()}'


def reader_members(reader: Any) -> str | None:
    """Whether a reader has the methods of `Reader`, and these take what they will be called with."""
    if isinstance(reader, type):
        return f"DATA must be an object, not the class {reader.__name__}: write {reader.__name__}()"
    kinds = [kind.__name__ for kind in type(reader).__mro__]
    for name, taken in {**({"rows": "training"} if "Rows" in kinds else {}), **_MEMBERS}.items():
        must = f"DATA.{name} must be a method, {name}({', '.join(filter(None, ['self', taken]))})"
        method = getattr(reader, name, None)
        if not callable(method):
            return f"{must}; {kinds[0]} has {'none' if method is None else f'{_a(method)} there'}"
        given = [word for word in taken.split(", ") if word and "=" not in word]
        try:
            signature = inspect.signature(method)
        except (TypeError, ValueError):
            continue
        try:
            signature.bind(*given, **({"seed": 0} if name == "batches" else {}))
        except TypeError:
            has = ["self", *map(str, signature.parameters.values())]
            return f"{must}; it is {name}({', '.join(has)})"
    return None


def reader_rows(reader: Any) -> str | None:
    """Whether a reader that is prepared says how many rows it has."""
    for name in ("train_rows", "eval_rows"):
        must = f"DATA.{name} must be a whole number, 1 or more, when prepare is done"
        try:
            value = getattr(reader, name)
        except AttributeError:
            if hasattr(type(reader), name):
                raise
            return f"{must}; there is none"
        if not isinstance(value, Integral) or isinstance(value, bool):
            return f"{must}; it is {_a(value)}" + (": write int(...)" if hasattr(value, "__index__") else "")
        if value < 1:
            return f"{must}; it is {value}"
    return None


def reader_batches(reader: Any, batch_size: int) -> str | None:
    """Whether inputs and batches fit each other, training does not end, and evaluation does after `eval_rows`."""
    import keras

    inputs = reader.inputs()
    must = "DATA.inputs must return {name: keras.Input(shape, name=name)}"
    if not isinstance(inputs, dict) or not inputs:
        return f"{must}; it returned {_a(inputs)}"
    if wrong := next((key for key, value in inputs.items() if not isinstance(value, keras.KerasTensor)), None):
        return f"{must}; it has {_a(inputs[wrong])} for {wrong!r}"
    return _passes(reader, inputs, True, batch_size) or _passes(reader, inputs, False, batch_size)


def reader_answers(
    reader: Any, make: Callable[[], Any], tensors: Callable[[Any, list[Any]], Any], output: Any
) -> str | None:
    """Whether the signatures that `make` asks for can be exported, and the default one answers the examples.

    `tensors` makes the input of a signature of JSON; `output` is what the network, untrained, answers to a batch.
    """
    import tensorflow as tf

    said = reader.check_output(output)
    if said:
        # In the researcher's own words the trainer says it.
        wrong = f"DATA.check_output must return None, or a text that says what is wrong; it returned {_a(said)}"
        return None if isinstance(said, str) else wrong
    found = make()
    if not (isinstance(found, (tuple, list)) and len(found) == 2 and isinstance(found[0], dict)):
        return f"{_SIGNATURES}; it returned {_a(found)}"
    signatures, layers = found
    kind = tf.__internal__.tracking.Trackable
    if not isinstance(layers, (tuple, list)) or not all(isinstance(layer, kind) for layer in layers):
        return f"{_SIGNATURES}, layers a list of those that the functions use beside the model; it has {_a(layers)}"
    if fresh := next((layer for layer in layers if not getattr(layer, "built", True)), None):
        way = "call it once, such as in prepare, or leave one without weights out of the list"
        return f"{_SIGNATURES}, layers that are built; {fresh.name!r} is not: {way}"
    if "serving_default" not in signatures:
        return f"{_SIGNATURES}, one for {_DEFAULT}, which endpoints ask; it has {list(signatures)}"
    traced = {}
    for name, pair in signatures.items():
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and callable(pair[0])):
            return f"{_SIGNATURES}; for {name!r} it has {_a(pair)}"
        specs = pair[1]
        of_one = specs[0] if isinstance(specs, (tuple, list)) and len(specs) == 1 else None
        if not _flat(of_one) or not all(isinstance(spec, tf.TensorSpec) for spec in _flat(of_one).values()):
            one = "one tf.TensorSpec in a list, or one dict of them by the names of the inputs"
            return f"{_SIGNATURES}, with {one}; for {name!r} it has {_listed(specs)}"
        traced[name] = tf.function(pair[0], input_signature=specs)
        if why := _why(traced[name].get_concrete_function):
            return f"DATA.signatures must give functions that TensorFlow can make a graph of; {name!r}: {why}"
    specs = signatures["serving_default"][1][0]
    return _wrong_examples(reader, specs) or _unanswered(reader, specs, tensors, traced["serving_default"])


def _passes(reader: Any, inputs: dict[str, Any], training: bool, batch_size: int) -> str | None:
    import tensorflow as tf

    when = "in training" if training else "in evaluation"
    found = reader.batches(True, batch_size, seed=0) if training else reader.batches(False, batch_size)
    if not isinstance(found, tf.data.Dataset):
        kind = "a function that nobody called: add ()" if callable(found) else _a(found)
        return f"DATA.batches must return a tf.data.Dataset; it returned {kind}"
    spec = found.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 3):
        weight = ": a weight is 1.0 for each row" if isinstance(spec, tuple) and len(spec) == 2 else ""
        return f"{_BATCHES}; {when} it gives {_listed(spec)}{weight}"
    # Of more features than inputs, Keras would take the first ones.
    if not isinstance(spec[0], dict) or {*spec[0]} != {*inputs}:
        given = list(spec[0]) if isinstance(spec[0], dict) else _a(spec[0])
        return f"{_BATCHES}, features a dict as DATA.inputs has them, {list(inputs)}; {when} it gives {given}"
    is_endless, is_known = found.cardinality() == tf.data.INFINITE_CARDINALITY, found.cardinality() >= 0
    if training and is_known:
        return "DATA.batches must not end in training: write .repeat() behind its shuffle"
    if is_endless and not training:
        return "DATA.batches must end in evaluation, after one pass: leave out .repeat()"
    count, most, stop = 0, reader.train_rows if training else reader.eval_rows, time.monotonic() + SECONDS
    for batch in found:
        if not count and (wrong := _of_batch(batch, inputs)):
            return f"{wrong} ({when})"
        count += _length(next(iter(batch[0].values())))
        # Only a pass tells how many rows there are, and, where TensorFlow does not know it, whether training ends.
        if is_endless or count > most or time.monotonic() > stop:
            return None if training or count <= most else f"{_EVAL_ROWS}; it is {most}, and those are {count} or more"
    if not count:
        return f"DATA.batches must give a batch; {when} it gives none"
    if training:
        return None if count > most else f"DATA.batches must not end in training; it did after {count} rows"
    return None if count == most else f"{_EVAL_ROWS}; it is {most}, and those are {count}"


def _of_batch(batch: Any, inputs: dict[str, Any]) -> str | None:
    """Whether the parts of a batch are as long as each other, and its features as the inputs."""
    import tensorflow as tf

    features, target, weight = batch
    for key, value in inputs.items():
        given, wanted = features[key].shape, tf.TensorShape(value.shape)
        # Keras adds and takes away a last dimension of 1.
        alike = [given, given + [1], given[:-1] if given.rank and given[-1] == 1 else given]
        is_text = features[key].dtype == tf.string
        if not any(wanted.is_compatible_with(shape) for shape in alike) or is_text != (value.dtype == "string"):
            said = f"{value.dtype} of the shape {_shape(wanted)}"
            got = f"{features[key].dtype.name} of the shape {_shape(given)}"
            return f"{_BATCHES}, features as DATA.inputs has them: {key!r} is {said} there, and {got} in a batch"
    named = {**{repr(key): value for key, value in features.items()}, **_named("the target", target)}
    named |= _named("the weight", weight)
    if flat := next((name for name, value in named.items() if not value.shape.rank), None):
        return f"{_BATCHES} of as many rows; {flat} is a single value"
    lengths = {name: _length(value) for name, value in named.items()}
    if len({*lengths.values()}) > 1:
        return f"{_BATCHES} of as many rows; {', '.join(f'{name} has {count}' for name, count in lengths.items())}"
    if tf.is_tensor(weight) and tf.is_tensor(target) and weight.shape.rank > max(1, target.shape.rank):
        return f"{_BATCHES}, one weight a row; its shape is {_shape(weight.shape)}"
    return None


def _wrong_examples(reader: Any, specs: Any) -> str | None:
    found = reader.examples()
    if not isinstance(found, list):
        return f"{_EXAMPLES}; it returned {_a(found)}" + (": add .tolist()" if hasattr(found, "tolist") else "")
    if not found:
        return f"{_EXAMPLES}; it returned none"
    if parameters := inspect.signature(reader.examples).parameters:
        few = reader.examples(count=2) if "count" in parameters else reader.examples(2)
        if len(few) != min(2, reader.eval_rows):
            return (
                f"DATA.examples must return the first `count` rows of batches(False); asked for 2, it gave {len(few)}"
            )
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        return f"{_EXAMPLES}: {error}{_BYTES if 'bytes' in str(error) else ''}"
    names = list(specs) if isinstance(specs, dict) else None
    for number, row in enumerate(found, start=1):
        is_object = isinstance(row, dict) and list(row) != ["b64"]
        if names is None and is_object:
            return f"{_fit()}, whose rows have no names; row {number} is an object with {list(row)}"
        if names is not None and (not is_object or {*row} != {*names}):
            given = f"has {list(row)}" if is_object else f"is {_a(row)}"
            return f"{_fit()}, whose rows are objects with {names}; row {number} {given}"
    return None


def _unanswered(reader: Any, specs: Any, tensors: Callable[[Any, list[Any]], Any], function: Any) -> str | None:
    instances = reader.examples()
    made: list[Any] = []
    if why := _why(lambda: made.append(tensors(specs, instances))):
        return f"{_fit()}, {_listed(specs)}; {why}"
    for spec, value in zip(_flat(specs).values(), _flat(made[0]).values(), strict=True):
        if not spec.shape.is_compatible_with(value.shape):
            return f"{_fit()}, {_listed(specs)}; {spec.name or 'theirs'} has the shape {_shape(value.shape)}"
    if why := _why(lambda: made.append(function(made[0]))):
        return f"{_fit()}, and it cannot answer them: {why}"
    if not isinstance(made[1], dict):
        return f"DATA.signatures must answer with a dict of tensors by their names; {_DEFAULT} does with {_a(made[1])}"
    for name, value in made[1].items():
        if not value.shape.rank or value.shape[0] != len(instances):
            shape = f"has the shape {_shape(value.shape)} for {len(instances)} rows"
            return f"DATA.signatures must answer each row; {name!r} of {_DEFAULT} {shape}"
    return None


def _fit() -> str:
    return f"DATA.examples must fit the signature {_DEFAULT}"


def _why(function: Callable[[], Any]) -> str | None:
    """Why a function fails, where it is not in the researcher's own code."""
    try:
        function()
    except Exception as error:
        failure = sys.modules["trainer.explaining"].explain(error)
        if failure.place:
            raise
        return str(failure.reason)
    return None


def _flat(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {} if value is None else {"": value}


def _named(name: str, value: Any) -> dict[str, Any]:
    import tensorflow as tf

    parts = tf.nest.flatten(value)
    return {name if len(parts) == 1 else f"{name} {number}": part for number, part in enumerate(parts, start=1)}


def _length(value: Any) -> int:
    import tensorflow as tf

    return int(value.nrows() if isinstance(value, tf.RaggedTensor) else value.shape[0])


def _a(value: Any) -> str:
    """A value in words: what it is, and which, if that is short."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _listed(value: Any) -> str:
    """The parts of a structure of specs, or of something else."""
    return ", ".join(_parts(value)) or _a(value)


def _parts(value: Any) -> Iterator[str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (tuple, list)) else ()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        yield f"{value.dtype.name} of the shape {_shape(value.shape)}"
    for key, one in pairs:
        yield (f"{key!r}: " if isinstance(value, dict) else "") + _listed(one)


def _shape(shape: Any) -> str:
    return str(tuple(shape)) if shape.rank is not None else "unknown"
