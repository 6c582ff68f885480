"""Sends to Vertex AI what `requests` builds."""
