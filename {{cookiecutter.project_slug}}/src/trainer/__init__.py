# Owned by the template. What travels to a cloud: TensorFlow, Keras, NumPy and the standard library only.
"""Train, export and serve the model described in `model.py`."""

import os

# Keras reads its backend once, at import; a personal ~/.keras/keras.json must not choose another one.
os.environ["KERAS_BACKEND"] = "tensorflow"
