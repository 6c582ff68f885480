# Owned by the template.
"""What Google Vertex AI is asked for, as request bodies."""
