"""What is changed in a page with a right reader of its own, and what is said of each mistake."""

from collections.abc import Sequence

Change = tuple[str, str]

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
