# Owned by the template.
"""What a `build_model` may begin with: one vector a row, whatever the columns are."""

import keras

from trainer.columns import Table, Text

EMBEDDING = 16


def joined(table: Table, inputs: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
    """All columns side by side, float32 [batch, n]: numbers, dates and one-hot categories as they are, an index as its
    embedding, a text as the mean of its words' embeddings.
    """
    parts = []
    for column in table.features:
        value = inputs[column.key]
        if value.dtype == "int64":
            value = keras.layers.Embedding(column.size, EMBEDDING)(value)
            if isinstance(column, Text):
                # Not by Keras' mask, whose mean of no word is not finite.
                is_word = keras.ops.cast(inputs[column.key] > 0, "float32")[:, :, None]
                count = keras.ops.maximum(keras.ops.sum(is_word, axis=1), 1.0)
                value = keras.ops.sum(value * is_word, axis=1) / count
        parts.append(value)
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
