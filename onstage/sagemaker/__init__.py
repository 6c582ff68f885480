"""All of Amazon SageMaker: what it is asked for, who runs it here, who sends it."""

from typing import Any


def __getattr__(name: str) -> Any:
    # From Python: onstage.sagemaker.train(epochs=40) and the other methods of Cloud.
    from onstage.calls import Cloud

    if name.startswith("_") or not hasattr(Cloud, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(Cloud("sagemaker"), name)


def __dir__() -> list[str]:
    from onstage.calls import Cloud

    return [*globals(), *(name for name in vars(Cloud) if not name.startswith("_"))]
