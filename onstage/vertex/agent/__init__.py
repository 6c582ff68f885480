"""What Vertex AI does with a job and a model, on this machine."""
