"""All of Google Vertex AI: what it is asked for, who runs it here, who sends it."""
