# Owned by the template.
"""What Amazon SageMaker is asked for, as request bodies."""
