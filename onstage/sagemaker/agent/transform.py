"""Executes a CreateTransformJob request on this machine, as SageMaker's batch transform would, against a container that
runs already.

Sources: the API's TransformInput, TransformOutput and DataProcessing; the developer guide's "Batch transform" and
"Associate Prediction Results with Input Records".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from onstage.errors import UserError
from onstage.rehearsal.batch_checks import CLIENT, Refusal
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.layout import member
from onstage.sagemaker.requests.json_path import select
from onstage.sagemaker.requests.rules import DEFAULT_MB

# Source: DescribeTransformJob shows it; the service's own words about the row are in the job's log only.
FAILURE_REASON = "ClientError: See job logs for more information"


@dataclass(frozen=True)
class TransformResult:
    """What came of a job: its TransformJobStatus, and by the object's name each output.

    `requests` were sent. `refusals` are the requests that failed, the first one of each object, which has no output.
    """

    status: str
    failure_reason: str | None
    outputs: Mapping[str, Path]
    requests: int
    refusals: Sequence[Refusal]


def run_transform_job(body: Mapping[str, Any], store: LocalStore, url: str) -> TransformResult:
    """Execute `body`; `url` is that of the container's /invocations.

    An object is processed whole or not at all: where one request fails it has no output, and the job is Failed; what
    other objects answer is kept. Raises UserError for a body that cannot be rehearsed.
    """
    source, output = member(body, "TransformInput.DataSource.S3DataSource.S3Uri"), member(body, "TransformOutput")
    found = store.objects(source)
    if not found:
        raise UserError(f"TransformInput: there is nothing at {source}")
    outputs: dict[str, Path] = {}
    refusals: list[Refusal] = []
    with httpx.Client(**CLIENT) as client:
        job = _Job(body, url, client)
        for name, file in found:
            target = store.path(f"{output['S3OutputPath'].rstrip('/')}/{name}.out")
            try:
                content = b"".join(job.answers(name, file))
            except _RefusedError as refused:
                refusals.append(refused.refusal)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            outputs[name] = target
    failed = FAILURE_REASON if refusals else None
    return TransformResult("Failed" if refusals else "Completed", failed, outputs, job.requests, refusals)


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.why)
        self.refusal = refusal


class _Job:
    def __init__(self, body: Mapping[str, Any], url: str, client: httpx.Client) -> None:
        self.requests = 0
        self._url, self._client, self._split = url, client, member(body, "TransformInput.SplitType", "None")
        if self._split not in ("None", "Line"):
            raise UserError(f"TransformInput.SplitType {self._split} cannot be rehearsed: Line and None can")
        self._alone = member(body, "BatchStrategy", "MultiRecord") == "SingleRecord"
        megabytes = member(body, "MaxPayloadInMB", DEFAULT_MB)
        # 0: as much as there is.
        self._megabytes, self._most = megabytes, megabytes * 1024 * 1024 or float("inf")
        types = {"Content-Type": member(body, "TransformInput.ContentType", None)}
        types["Accept"] = member(body, "TransformOutput.Accept", None)
        self._headers = {name: value for name, value in types.items() if value}
        self._end = b"\n" if member(body, "TransformOutput.AssembleWith", "None") == "Line" else b""
        filters = member(body, "DataProcessing", {})
        self._input, self._output = filters.get("InputFilter", "$"), filters.get("OutputFilter", "$")
        self._joins = filters.get("JoinSource", "None") == "Input"

    def answers(self, name: str, file: Path) -> Iterator[bytes]:
        """What becomes of the object's output, request by request. Raises _RefusedError."""
        for first, records in self._requests(name, file):
            last = first + len(records) - 1
            answer = self._ask(name, first, last, [payload for _, payload in records])
            if not self._joins and self._output == "$":
                yield answer + self._end
                continue
            lines = answer.splitlines()
            if len(lines) != len(records):
                why = f"{len(records)} records have an answer of {len(lines)} lines: there is nothing to join to each"
                raise _RefusedError(Refusal(name, first, last, why))
            for number, ((record, _), line) in enumerate(zip(records, lines, strict=True), first):
                yield self._joined(name, number, record, line) + self._end

    def _requests(self, name: str, file: Path) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
        """The number of the first record, and the records of a request, each with what the container gets of it."""
        waiting: list[tuple[bytes, bytes]] = []
        number = size = 0
        for number, record in enumerate(self._records(file), 1):
            payload = self._filtered(name, number, record)
            if len(payload) > self._most:
                megabytes = f"{len(payload) / 1024 / 1024:.1f} MB, and MaxPayloadInMB is {self._megabytes}"
                raise _RefusedError(Refusal(name, number, number, f"it has {megabytes}"))
            if waiting and (self._alone or size + len(payload) > self._most):
                yield number - len(waiting), waiting
                waiting, size = [], 0
            waiting.append((record, payload))
            size += len(payload)
        if waiting:
            yield number - len(waiting) + 1, waiting

    def _records(self, file: Path) -> Iterator[bytes]:
        if self._split == "None":
            yield file.read_bytes()
            return
        with file.open("rb") as lines:
            yield from lines

    def _filtered(self, name: str, number: int, record: bytes) -> bytes:
        if self._input == "$":
            return record
        try:
            return json.dumps(select(self._input, json.loads(record))).encode() + b"\n"
        except (UserError, ValueError) as error:
            raise _RefusedError(Refusal(name, number, number, f"InputFilter: {error}")) from error

    def _joined(self, name: str, number: int, record: bytes, line: bytes) -> bytes:
        """A record with its answer, as far as OutputFilter selects it."""
        try:
            answer, given = json.loads(line), json.loads(record) if self._joins else None
            if self._joins:
                own = given if isinstance(given, dict) else {"SageMakerInput": given}
                answer = {**own, "SageMakerOutput": answer}
            return json.dumps(select(self._output, answer)).encode()
        except (UserError, ValueError) as error:
            raise _RefusedError(Refusal(name, number, number, f"OutputFilter: {error}")) from error

    def _ask(self, name: str, first: int, last: int, payloads: Sequence[bytes]) -> bytes:
        self.requests += 1
        answer = self._client.post(self._url, content=b"".join(payloads), headers=self._headers)
        if answer.status_code != 200:
            why = f"ClientError: {answer.status_code}: {' '.join(answer.text.split())[:500]}"
            raise _RefusedError(Refusal(name, first, last, why))
        return answer.content
