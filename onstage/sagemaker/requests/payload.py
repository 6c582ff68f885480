"""How many bytes a request to an endpoint may have."""

from onstage.settings import Settings

# Source: InvokeEndpoint, the body of a real-time endpoint and of a serverless one.
_ON_INSTANCES, _SERVERLESS = 6 * 1024 * 1024, 4 * 1024 * 1024


def limit(*, serverless: bool) -> int:
    """Of an endpoint of this kind."""
    return _SERVERLESS if serverless else _ON_INSTANCES


def limit_of(settings: Settings) -> int:
    """Of the endpoint that settings.toml describes."""
    return limit(serverless=settings.sagemaker is not None and settings.sagemaker.serverless is not None)
