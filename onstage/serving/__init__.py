"""Serves an exported model on this machine as TensorFlow Serving and SageMaker's container would."""
