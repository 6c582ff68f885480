"""What SageMaker's TensorFlow Serving container puts before TensorFlow Serving.

Source: aws/deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker, tensorflowServing.js and
nginx.conf.template, run by nginx 1.30.3 with njs 0.9.9, the versions of the 2.20 image. Its quirks are kept: a request
that is refused there has to be refused here.
"""

import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from .http_head import error_page, normal_path
from .http_server import Request, Response
from .refusal import log
from .rest import Rest

# Source: InvokeEndpoint, endpoints on instances.
PAYLOAD_LIMIT = 6 * 1024 * 1024
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
# njs's expressions know the blanks and digits of ASCII only; its trim() drops all that JavaScript calls blank.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_VERSION = re.compile(r"[0-9]+")
_METHODS = ("predict", "classify", "regress")
_TFS_KEYS = re.compile(r'"(instances|inputs|examples)"[ \t-\r]*:')
_ADJACENT = re.compile(r"[}\]][ \t-\r]*[\[{]")
_ROWS = re.compile(r"[ \t-\r]*\[[ \t-\r]*\[")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BLANKS = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
# Characters of a path that nginx does not escape.
_AS_THEY_ARE = "!$&'()*+,-./:;=@_~[]"
_NOT_FOUND = b'{"error": "Not Found"}'


class Front:
    """GET /ping and POST /invocations. `default_model` answers where the request names no other.

    PAYLOAD_LIMIT, in bytes, is the endpoint's if it is not on instances.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.default_model = "None"
        self.limit = int(os.environ.get("PAYLOAD_LIMIT", PAYLOAD_LIMIT))

    def __call__(self, request: Request) -> Response:
        path = normal_path(request.path)
        if path is None:
            return error_page(400)
        if path.startswith("/tfs"):
            return self._rest(Request(request.method, _rewritten(request.path, path), {}, request.body))
        if path.startswith("/models"):
            # Several models behind one endpoint are another container's configuration.
            return error_page(502)
        if path.startswith("/ping"):
            return self._ping(request)
        if path.startswith("/invocations"):
            return self._invocations(request)
        return Response(404, _NOT_FOUND)

    def _ping(self, request: Request) -> Response:
        path = self._model_path(request, with_method=False)
        if isinstance(path, Response):
            return path
        status = self._rest(Request("GET", path, {}, b""))
        if status.status == 200 and b'"AVAILABLE"' in status.body:
            return Response(200)
        return error_page(502)

    def _invocations(self, request: Request) -> Response:
        content_type = _lower(_text(request.headers.get("content-type", "")).split(";")[0].strip(_BLANKS))
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
            return _error(415, message)
        path = self._model_path(request, with_method=True)
        if isinstance(path, Response):
            return path
        # JavaScript's strings have no bytes that are not UTF-8; what is not sent at all is the word undefined.
        is_sent = "content-length" in request.headers or "transfer-encoding" in request.headers
        given = request.body.decode("utf-8", "replace") if is_sent else "undefined"
        made = convert(given)
        answer = self._rest(Request("POST", path, {}, made.encode()))
        if answer.status >= 400 and made != given:
            log(f"  SageMaker's container made of the {content_type} body: {made[:300]}")
        body = answer.body.decode("utf-8", "replace").encode()
        accepted = [part.strip(_BLANKS) for part in _text(request.headers.get("accept", "")).split(",")]
        if "application/json" in accepted or "application/jsonlines" in accepted:
            body = body.replace(b"\n", b"")
        return Response(answer.status, body)

    def _model_path(self, request: Request, with_method: bool) -> str | Response:
        attributes = _attributes(_text(request.headers.get(_ATTRIBUTES, "")))
        name = attributes.get("tfs-model-name")
        if name is not None and not _NAME.fullmatch(name):
            return _error(400, "invalid tfs-model-name")
        # The default one is taken as it is.
        path = f"/v1/models/{name or quote(self.default_model)}"
        if "tfs-model-version" in attributes:
            if not _VERSION.fullmatch(attributes["tfs-model-version"]):
                return _error(400, "invalid tfs-model-version")
            path += f"/versions/{attributes['tfs-model-version']}"
        if not with_method:
            return path
        method = attributes.get("tfs-method", "predict")
        return f"{path}:{method}" if method in _METHODS else _error(400, "invalid tfs-method")


def from_json(text: str) -> str:
    """The predict request that the container makes of a JSON or JSON Lines body; a line is not looked into."""
    if _TFS_KEYS.search(text):
        return text
    if _ADJACENT.search(text):
        lines = re.split(r"\r?\n", text.strip(_BLANKS))
        rows = ",".join(filter(None, (line.strip(_BLANKS) for line in lines)))
        # Objects on one line stay as they are, and are refused.
        return _instances(rows if len(lines) == 1 else f"[{rows}]")
    return _instances(text if _ROWS.match(text) else f"[{text}]")


def from_csv(text: str) -> str:
    """The predict request that the container makes of CSV: a row is a list, of one column a scalar."""
    rows = []
    for line in filter(None, (line.strip(_BLANKS) for line in re.split(r"\r?\n", text.strip(_BLANKS)))):
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
    probe = field.strip(_BLANKS)
    if _NUMBER.fullmatch(probe):
        return probe
    escaped = field.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _attributes(header: str) -> Mapping[str, str]:
    """Each `tfs-name=value`; one with another = in it is none."""
    pairs = (pair.split("=") for pair in re.findall(r"tfs-[a-z-]+=[^,]+", header))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _rewritten(target: str, path: str) -> str:
    """What nginx asks TensorFlow Serving when it is itself asked for a path under /tfs."""
    if not path.startswith("/tfs/"):
        return target
    _, mark, query = target.partition("?")
    return quote(path.removeprefix("/tfs"), safe=_AS_THEY_ARE, errors="surrogateescape") + mark + query


def _text(header: str) -> str:
    return header.encode("latin-1").decode("utf-8", "replace")


def _lower(text: str) -> str:
    # One character stays one.
    return "".join(character.lower()[0] for character in text)


def _error(status: int, message: str) -> Response:
    return Response(status, json.dumps({"error": message}, ensure_ascii=False, separators=(",", ":")).encode())
