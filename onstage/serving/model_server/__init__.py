"""A server that answers as TensorFlow Serving does. It runs in a process of its own, which has no project and no Keras.

Nothing here may import `trainer`, `cloud` or `rehearse`.
"""
