"""Executes a BatchPredictionJob on this machine, as Vertex AI would, against a container that runs already.

Sources: the API's BatchPredictionJob, its InputConfig and InstanceConfig, and ManualBatchTuningParameters. Its
OutputConfig speaks of files errors_0001 with each instance that failed; jobs of a model's own container leave others,
by docs.cloud.google.com/gemini-enterprise-agent-platform, troubleshooting ("Exceeded retries error"), and
googleapis/python-aiplatform, issue 2666: a line of prediction.errors_stats is an error's words and a number. Neither
says what becomes of the other rows of the request: here they are lost with it, and the number counts them.
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx

from onstage.errors import UserError
from onstage.rehearsal.batch_checks import CLIENT, Refusal
from onstage.rehearsal.store import LocalStore

# Source: ManualBatchTuningParameters, batchSize.
DEFAULT_BATCH = 64
# As the service's words about a request have it.
_RETRIES = 3
_CONFIG = ("instanceType", "keyField", "includedFields", "excludedFields")


@dataclass(frozen=True)
class BatchResult:
    """What came of a job: its state, the gs:// folder of its files, how many rows are answered and not.

    `requests` were sent, of `batch` rows at most; `refusals` are those that failed, by the rows of all input together.
    """

    state: str
    folder: str
    results: Sequence[Path]
    successful: int
    failed: int
    requests: int
    batch: int
    refusals: Sequence[Refusal]


def run_batch_prediction_job(body: Mapping[str, Any], store: LocalStore, url: str) -> BatchResult:
    """Execute `body`; `url` is that of the container's predict route.

    Answers are dealt to a file for each starting replica, so that their order is not that of the rows; a request that
    fails is an entry of the list of errors, and the job goes on. Raises UserError for a body that cannot be rehearsed.
    """
    formats = body["inputConfig"].get("instancesFormat"), body["outputConfig"].get("predictionsFormat")
    if formats != ("jsonl", "jsonl"):
        raise UserError(f"the formats {formats[0]} and {formats[1]} cannot be rehearsed: jsonl can")
    config = _Instances(body.get("instanceConfig") or {})
    tuning, machines = body.get("manualBatchTuningParameters") or {}, body.get("dedicatedResources") or {}
    size = int(tuning.get("batchSize") or DEFAULT_BATCH)
    files = max(int(machines.get("startingReplicaCount") or 1), 1)
    answers: list[list[dict[str, Any]]] = [[] for _ in range(files)]
    refusals: list[Refusal] = []
    number = 0
    with httpx.Client(**CLIENT) as client:
        for number, (first, lines) in enumerate(_batches(_lines(body, store), size)):
            try:
                rows = [config.row(line) for line in lines]
                found = _ask(client, url, [instance for _, instance in rows])
            except UserError as error:
                refusals.append(Refusal("", first, first + len(lines) - 1, str(error)))
                continue
            answers[number % files] += [{**said, "prediction": one} for (said, _), one in zip(rows, found, strict=True)]
    successful, failed = sum(map(len, answers)), sum(one.last - one.first + 1 for one in refusals)
    folder = _folder(body)
    results = _write(store.path(folder), answers, refusals)
    # Source: JobState.
    state = "SUCCEEDED" if not failed else "PARTIALLY_SUCCEEDED" if successful else "FAILED"
    return BatchResult(f"JOB_STATE_{state}", folder, results, successful, failed, number + 1, size, refusals)


class _Instances:
    """What instanceConfig makes of a line: what the output says of it, and what the model is given."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        if unknown := [name for name in config if name not in _CONFIG]:
            raise UserError(f"instanceConfig.{unknown[0]} cannot be rehearsed: {', '.join(_CONFIG)} can")
        self._key, self._kind = config.get("keyField", ""), config.get("instanceType", "")
        self._included, self._excluded = config.get("includedFields") or [], config.get("excludedFields") or []
        if self._kind not in ("", "object", "array"):
            raise UserError(f"instanceConfig.instanceType {self._kind} cannot be rehearsed: object and array can")

    def row(self, line: str) -> tuple[dict[str, Any], Any]:
        """Raises UserError for a line that the service cannot take apart."""
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"a line is not JSON: {error}") from error
        if not (self._key or self._kind or self._included or self._excluded):
            return {"instance": row}, row
        if not isinstance(row, dict):
            raise UserError(f"instanceConfig wants an object a line, not {line[:80]}")
        wanted = [*filter(None, [self._key]), *self._included]
        if missing := [name for name in wanted if name not in row]:
            raise UserError(f"instanceConfig names the field {missing[0]!r}, which a line does not have: {line[:80]}")
        hidden = {self._key, *self._excluded}
        given = {name: row[name] for name in self._included or row if name not in hidden}
        # With a key, the output has that alone.
        said = {"key": row[self._key]} if self._key else {"instance": row}
        return said, list(given.values()) if self._kind == "array" else given


def _lines(body: Mapping[str, Any], store: LocalStore) -> Iterator[str]:
    for uri in body["inputConfig"]["gcsSource"]["uris"]:
        parent, _, pattern = uri.rpartition("/")
        found = [file for name, file in store.objects(f"{parent}/") if fnmatch.fnmatchcase(name, pattern)]
        if not found:
            raise UserError(f"inputConfig: there is nothing at {uri}")
        for file in found:
            with file.open(encoding="utf-8") as lines:
                yield from (line.rstrip("\n") for line in lines)


def _batches(lines: Iterator[str], size: int) -> Iterator[tuple[int, list[str]]]:
    """The number of the first row, from 1, and the rows of a request."""
    waiting: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        waiting.append(line)
        if len(waiting) == size:
            yield number - size + 1, waiting
            waiting = []
    if waiting:
        yield number - len(waiting) + 1, waiting


def _ask(client: httpx.Client, url: str, instances: Sequence[Any]) -> list[Any]:
    content = json.dumps({"instances": instances})
    answer = client.post(url, content=content, headers={"Content-Type": "application/json"})
    if answer.status_code != 200:
        said = " ".join(answer.text.split())[:500]
        raise UserError(
            "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result "
            f"{answer.status_code} ({said}) from server, retry={_RETRIES}"
        )
    found = answer.json().get("predictions")
    if not isinstance(found, list) or len(found) != len(instances):
        count = len(found) if isinstance(found, list) else 0
        raise UserError(f"the container answers {len(instances)} instances with {count} predictions")
    return found


def _folder(body: Mapping[str, Any]) -> str:
    """Source: BatchPredictionJob.OutputConfig, gcsDestination; its time has colons, which files here cannot have."""
    prefix = body["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
    stamp = datetime.now(timezone.utc).strftime("%Y_%m_%dT%H_%M_%S_%f")[:-3]
    return f"{prefix}/prediction-{body['model'].rpartition('/')[2]}-{stamp}Z"


def _write(place: Path, answers: Sequence[Sequence[Any]], refusals: Sequence[Refusal]) -> list[Path]:
    place.mkdir(parents=True)
    results = [place / f"prediction.results-{number:05}-of-{len(answers):05}" for number in range(len(answers))]
    for file, some in zip(results, answers, strict=True):
        file.write_text("".join(f"{json.dumps(one)}\n" for one in some), encoding="utf-8")
    counts: dict[str, int] = {}
    for one in refusals:
        counts[one.why] = counts.get(one.why, 0) + one.last - one.first + 1
    errors = "".join(f"{pair!r}\n" for pair in counts.items())
    (place / "prediction.errors_stats-00000-of-00001").write_text(errors, encoding="utf-8")
    return results
