"""All of Amazon SageMaker: what it is asked for, who runs it here, who sends it."""
