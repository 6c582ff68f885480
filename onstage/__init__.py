"""Rehearses on this machine the jobs that Amazon SageMaker and Google Vertex AI would run, and sends them."""
