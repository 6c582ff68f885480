"""Loopback fakes of the clouds' services."""
