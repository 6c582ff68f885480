"""How many bytes a request to an endpoint, and its answer, may have."""

from onstage.settings import Settings

# Source: https://cloud.google.com/vertex-ai/docs/predictions/choose-endpoint-type
_DEDICATED, _SHARED = 10 * 1024 * 1024, 1536 * 1024


def limit(*, dedicated: bool) -> int:
    """Of an endpoint of this kind."""
    return _DEDICATED if dedicated else _SHARED


def limit_of(settings: Settings) -> int:
    """Of the endpoint that settings.toml describes."""
    return limit(dedicated=settings.vertex is None or settings.vertex.dedicated_endpoint)
