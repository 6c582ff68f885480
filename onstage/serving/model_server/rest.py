"""TensorFlow Serving's REST routes.

Source: tensorflow_serving/model_servers/http_rest_api_handler.cc, http_rest_api_util.cc and get_model_status_impl.cc.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .http_server import Request, Response
from .json_text import error
from .predict_request import parse, parse_and_warn, signature_name
from .refusal import RefusedError, log, refuse

if TYPE_CHECKING:
    from .model import Model

_NAME = "/(?P<model>[^/:]+)"
_CHOICE = "(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"/v1/models{_NAME}{_CHOICE}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(rf"/v1/models(?:{_NAME})?{_CHOICE}(?:/(?P<metadata>metadata))?", re.IGNORECASE)
_INT64 = 2**63
# Source: libevent's evhttp_send_error.
_NOT_FOUND = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


class Rest:
    """Answers for the models in `models`: name to version number to Model."""

    def __init__(self) -> None:
        self.models: dict[str, dict[int, Model]] = {}

    def __call__(self, request: Request) -> Response:
        """The answer to a request under /v1/; anything else is 404. A query is a part of the path, as it is there."""
        if not request.path.lower().startswith("/v1/"):
            return Response(404, _NOT_FOUND, "text/html")
        if request.method == "OPTIONS":
            return Response(200 if re.search("https?://", request.headers.get("origin", "")) else 400)
        routes = {"POST": _POST, "GET": _GET}
        match = routes[request.method].fullmatch(request.path) if request.method in routes else None
        try:
            if match is None:
                refuse(f"Malformed request: {request.method} {request.path}")
            parts = {key: value for key, value in match.groupdict().items() if value}
            return Response(200, self._answer(request, parts))
        except RefusedError as refused:
            self._explain(request, match, refused)
            return Response(refused.status, b"" if refused.silent else error(refused.message))

    def _answer(self, request: Request, parts: Mapping[str, str]) -> bytes:
        version = _number(parts["version"]) if "version" in parts else None
        if version is not None and version >= _INT64:
            # Of this it says nothing to the client.
            refuse(f"Failed to convert version: {parts['version']} to numeric.", silent=True)
        if "model" not in parts:
            refuse("Missing model name in request.")
        name = unquote(parts["model"], errors="surrogateescape")
        if "method" in parts:
            return self._post(name, version, parts, request.body)
        if "metadata" in parts:
            found, model = self._model(name, version, parts)
            return _metadata(name, found, model)
        return self._status(name, version)

    def _post(self, name: str, version: int | None, parts: Mapping[str, str], body: bytes) -> bytes:
        method = parts["method"].lower()
        document = parse_and_warn(body)
        chosen = signature_name(document)
        if method == "predict":
            return self._model(name, version, parts)[1].predict(document)
        from .classify import classify, examples, regress

        rows = examples(document)
        _, model = self._model(name, version, parts)
        if chosen not in model.signatures:
            refuse(f"No signature was found with the name: {chosen}")
        return {"classify": classify, "regress": regress}[method](model.signatures[chosen], rows)

    def _model(self, name: str, version: int | None, parts: Mapping[str, str]) -> tuple[int, "Model"]:
        if "label" in parts:
            refuse(f"Unrecognized servable version label: {unquote(parts['label'])}")
        versions = self.models.get(name, {})
        if version is None and versions:
            version = max(versions)
        if version not in versions:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            refuse(f"Servable not found for request: {asked}", 404)
        return version, versions[version]

    def _status(self, name: str, version: int | None) -> bytes:
        versions = sorted(self.models.get(name, {}), reverse=True)
        if not versions:
            refuse(f"Could not find any versions of model {name}", 404)
        if version is not None and version not in versions:
            refuse(f"Could not find version {version} of model {name}", 404)
        healthy = {"error_code": "OK", "error_message": ""}
        statuses = [
            {"version": str(number), "state": "AVAILABLE", "status": healthy}
            for number in versions
            if version in (None, number)
        ]
        return _message({"model_version_status": statuses})

    def _explain(self, request: Request, match: re.Match[str] | None, refused: RefusedError) -> None:
        """Say in the log what would have been right: the platforms' answers do not."""
        lines = [f"{refused.status} {request.method} {request.path}: {refused.message}"]
        if refused.key:
            lines.append(f"  at fault: {refused.key}")
        versions = self.models.get(unquote(match["model"]), {}) if match and match["model"] else {}
        if match is None or not versions:
            lines.append(f"  models: {', '.join(self.models) or 'none is loaded'}")
        else:
            model = versions.get(_number(match["version"] or "0"), versions[max(versions)])
            lines += hints(model, _asked(request.body))
        log(*lines)


def hints(model: "Model", name: str) -> list[str]:
    """What signature `name` takes, with a correct request to copy; all signatures where there is no such one."""
    served = model.served
    lines = []
    for each in [name] if name in served else served:
        lines += [f"  signature {each} takes {served[each]}", f"  a correct request: {json.dumps(model.example(each))}"]
    return lines


def _number(digits: str) -> int:
    """Python turns no number of thousands of digits into one."""
    return int(digits.lstrip("0")[:20] or "0")


def _asked(body: bytes) -> str:
    try:
        return signature_name(parse(body))
    except RefusedError:
        return "serving_default"


def _metadata(name: str, version: int, model: "Model") -> bytes:
    signatures = {key: signature.metadata() for key, signature in model.signatures.items()}
    spec = {"name": name, "signature_name": "", "version": str(version)}
    definitions = _message({"signature_def": signatures})
    return b'{\n"model_spec":%s,\n"metadata": {"signature_def": %s}\n}\n' % (_message(spec), definitions)


def _message(content: Mapping[str, object]) -> bytes:
    """As protobuf prints a message."""
    return f"{json.dumps(content, indent=1)}\n".encode()
