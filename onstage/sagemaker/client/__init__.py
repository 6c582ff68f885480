"""Sends to Amazon SageMaker what `requests` builds."""
