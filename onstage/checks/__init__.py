"""What is wrong with a project, seen without TensorFlow."""
