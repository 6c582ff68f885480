"""What SageMaker's TensorFlow Serving container puts before TensorFlow Serving.

Source: aws/sagemaker-tensorflow-serving-container, tensorflowServing.js and nginx.conf.template. Its quirks are kept: a
request that is refused there has to be refused here.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from .http_server import Request, Response, error
from .refusal import log
from .rest import Rest

# Source: InvokeEndpoint, real-time endpoints: 6 MB.
PAYLOAD_LIMIT = 6 * 1024 * 1024
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_VALID = {
    "tfs-model-name": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"),
    "tfs-model-version": re.compile(r"[0-9]+"),
    "tfs-method": re.compile(r"predict|classify|regress"),
}
_TFS_KEYS = re.compile(r'"(instances|inputs|examples)"\s*:')
_ADJACENT = re.compile(r"[}\]]\s*[\[{]")
_ROWS = re.compile(r"\s*\[\s*\[")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Front:
    """GET /ping and POST /invocations. `default_model` answers where the request names no other."""

    limit = PAYLOAD_LIMIT

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.default_model = "None"

    def __call__(self, request: Request) -> Response:
        if request.path not in ("/ping", "/invocations"):
            return error(404, "Not Found")
        attributes = _attributes(request.headers.get(_ATTRIBUTES, ""))
        for name, pattern in _VALID.items():
            if name in attributes and not pattern.fullmatch(attributes[name]):
                return error(400, f"invalid {name}")
        # The default one is taken as it is: njs's own.
        path = f"/v1/models/{attributes.get('tfs-model-name') or quote(self.default_model)}"
        if "tfs-model-version" in attributes:
            path += f"/versions/{attributes['tfs-model-version']}"
        if request.path == "/ping":
            return self._ping(path)
        return self._invocations(request, f"{path}:{attributes.get('tfs-method', 'predict')}")

    def _ping(self, path: str) -> Response:
        status = self._rest(Request("GET", path, {}, b""))
        return Response(200 if status.status == 200 and b'"AVAILABLE"' in status.body else 502)

    def _invocations(self, request: Request, path: str) -> Response:
        content_type = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        convert = {
            "application/json": from_json,
            "application/jsonlines": from_json,
            "application/jsons": from_json,
            "text/csv": from_csv,
        }.get(content_type)
        if convert is None:
            message = f"Unsupported Media Type: {content_type or 'Unknown'}"
            log(
                f"415 {request.method} /invocations: {message}",
                "  takes application/json, application/jsonlines, text/csv",
            )
            return error(415, message)
        given = request.body.decode("utf-8", "surrogateescape")
        made = convert(given)
        answer = self._rest(Request("POST", path, {}, made.encode("utf-8", "surrogateescape")))
        if answer.status >= 400 and made != given:
            log(f"  SageMaker's container made of the {content_type} body: {made[:300]}")
        return answer


def from_json(text: str) -> str:
    """The predict request that the container makes of a JSON or JSON Lines body; a line is not looked into."""
    if _TFS_KEYS.search(text):
        return text
    if _ADJACENT.search(text):
        lines = re.split(r"\r?\n", text.strip())
        rows = ",".join(filter(None, (line.strip() for line in lines)))
        # Objects on one line stay as they are, and are refused.
        return _instances(rows if len(lines) == 1 else f"[{rows}]")
    return _instances(text if _ROWS.match(text) else f"[{text}]")


def from_csv(text: str) -> str:
    """The predict request that the container makes of CSV: a row is a list, of one column a scalar."""
    rows = []
    for line in filter(None, (line.strip() for line in re.split(r"\r?\n", text.strip()))):
        values = [_csv_value(field) for field in _fields(line)]
        rows.append(f"[{','.join(values)}]" if len(values) > 1 else values[0])
    return _instances(f"[{','.join(rows)}]")


def _instances(rows: str) -> str:
    return '{"instances":' + rows + "}"


def _fields(line: str) -> list[str]:
    # Not the csv module: the container ends a row at the line's end, quoted or not, and takes a quote anywhere.
    fields, quoted, index = [""], False, 0
    while index < len(line):
        character = line[index]
        if character == '"':
            if quoted and line[index + 1 : index + 2] == '"':
                fields[-1] += '"'
                index += 1
            else:
                quoted = not quoted
        elif character == "," and not quoted:
            fields.append("")
        else:
            fields[-1] += character
        index += 1
    return fields


def _csv_value(field: str) -> str:
    if _NUMBER.fullmatch(field.strip()):
        return field.strip()
    escaped = field.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _attributes(header: str) -> Mapping[str, str]:
    pairs = (pair.split("=") for pair in re.findall(r"tfs-[a-z-]+=[^,]+", header))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
