"""A server of all models, and how it is asked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from tests.onstage.serving.asking import Ask


@pytest.fixture(scope="session")
def server(iris: Path, exports: dict[str, Path]) -> Iterator[ServingProcess]:
    with ServingProcess() as process:
        models = {"iris": find_versions(iris / "model")}
        process.load_models(models | {name: find_versions(base) for name, base in exports.items()})
        yield process


@pytest.fixture(scope="session")
def client(server: ServingProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.rest_url}/v1/models", timeout=60) as connection:
        yield connection


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    """POST a body, or these fields as JSON, to `model:predict`."""

    def post(model: str, body: str | None = None, **fields: Any) -> httpx.Response:
        return client.post(f"/{model}:predict", content=json.dumps(fields) if body is None else body)

    return post
