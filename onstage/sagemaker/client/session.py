"""AWS clients that are made when they are needed, and speak in UserErrors. Credentials are boto3's business alone."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onstage.errors import UserError
from onstage.sagemaker.client import errors

# Requests at a time; every one of them needs a connection.
CONNECTIONS = 32


class Clients:
    """The clients of a region: `clients.of("sagemaker")`."""

    def __init__(self, region: str) -> None:
        self.region = region

    @functools.cache  # noqa: B019 - one object lives as long as the command
    def of(self, service: str) -> Any:
        """The client of a service. Raises UserError when boto3 is missing or the AWS configuration is broken."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise UserError(f"boto3 cannot be used: {error}; install the project's requirements.txt again") from error
        # Answers of an endpoint may take 60 s. "standard" repeats what was throttled or dropped, with growing pauses.
        retries: dict[str, Any] = {"mode": "standard"}
        if "AWS_MAX_ATTEMPTS" not in os.environ:
            retries["total_max_attempts"] = 6
        config = Config(
            region_name=self.region,
            retries=retries,
            connect_timeout=10,
            read_timeout=70,
            max_pool_connections=CONNECTIONS,
        )
        with explained(f"using {service}", self.region):
            return boto3.client(service, region_name=self.region, config=config)

    def call(self, service: str, operation: str, **members: Any) -> Any:
        """The response to an operation such as describe_training_job. Raises UserError and its subclasses."""
        with explained(f"{service}: {operation}", self.region):
            return getattr(self.of(service), operation)(**members)

    def pages(self, service: str, operation: str, member: str, **members: Any) -> Iterator[Any]:
        """The items in a member of all pages of an operation."""
        with explained(f"{service}: {operation}", self.region):
            for page in self.of(service).get_paginator(operation).paginate(**members):
                yield from page.get(member) or ()


@contextmanager
def explained(doing: str, region: str) -> Iterator[None]:
    """Turn what boto3 raises into a UserError that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # boto3 makes classes of errors while it runs; what is none of its own is a defect of ours and goes on.
        understood = errors.explain(error, doing, region)
        if understood is None:
            raise
        raise understood from error
