"""A row of the default project's data, and what an error of TensorFlow Serving looks like."""

from collections.abc import Callable

import httpx

Ask = Callable[..., httpx.Response]

ROW = [5.1, 3.5, 1.4, 0.2]
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
NAMED = dict(zip(NAMES, ROW, strict=True))


def answers(response: httpx.Response, status: int, message: str) -> bool:
    """Whether an error is JSON with exactly one key and `message` in it."""
    content = response.json()
    return (response.status_code, list(content)) == (status, ["error"]) and message in content["error"]
