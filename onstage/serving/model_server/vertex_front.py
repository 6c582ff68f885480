"""What Vertex AI puts before a model's container: the API's predict request, the routes, and the limits.

Source: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import json
import os

from .http_server import Request, Response
from .predict_request import parse
from .refusal import RefusedError, log
from .rest import Rest

# Source: https://cloud.google.com/vertex-ai/docs/predictions/choose-endpoint-type, a dedicated endpoint.
PAYLOAD_LIMIT = 10 * 1024 * 1024
_FIELDS = ("instances", "parameters")


class Front:
    """GET AIP_HEALTH_ROUTE and POST AIP_PREDICT_ROUTE, with {"instances"} and {"predictions"}.

    The port is AIP_HTTP_PORT in the container. PAYLOAD_LIMIT, in bytes, is the endpoint's if it is no dedicated one.
    """

    # Larger bodies are refused in the words of this platform.
    limit = None

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.default_model = "model"
        self._health = os.environ.get("AIP_HEALTH_ROUTE", "/v1/models/model")
        self._predict = os.environ.get("AIP_PREDICT_ROUTE", "/v1/models/model:predict")
        self._most = int(os.environ.get("PAYLOAD_LIMIT", PAYLOAD_LIMIT))

    def __call__(self, request: Request) -> Response:
        path = request.path.split("?")[0]
        wanted = {self._health: "GET", self._predict: "POST"}.get(path)
        if wanted != request.method:
            return _error(404, f"{request.method} {path[:200]}: this model has {self._health} and {self._predict}")
        if wanted == "GET":
            return self._rest(Request("GET", self._own(path, ""), {}, b""))
        if len(request.body) > self._most:
            return _refused(f"Request payload size exceeds the limit: {self._most} bytes.")
        try:
            document = parse(request.body)
        except RefusedError as refused:
            return _refused(f"Invalid JSON payload received. {refused.message}")
        unknown = [name for name in document if name not in _FIELDS]
        if unknown:
            # Only the rows go through: no columns (`inputs`), and no signature_name.
            return _refused(f'Invalid JSON payload received. Unknown name "{unknown[0][:200]}": Cannot find field.')
        answer = self._rest(Request("POST", self._own(path, ":predict"), {}, request.body))
        if len(answer.body) > self._most:
            return _refused(f"The response has {len(answer.body)} bytes; the endpoint's limit is {self._most}")
        return answer

    def _own(self, path: str, method: str) -> str:
        """The container's path: TensorFlow Serving gets the route itself, a prebuilt container has only one model."""
        return path if path.startswith("/v1/models/") else f"/v1/models/{self.default_model}{method}"


def _refused(message: str) -> Response:
    log(f"400 predict: {message}", f"  takes a JSON object with {' and '.join(_FIELDS)}")
    return _error(400, message)


def _error(status: int, message: str) -> Response:
    # Source: https://cloud.google.com/apis/design/errors
    details = {"code": status, "message": message, "status": "INVALID_ARGUMENT" if status == 400 else "NOT_FOUND"}
    return Response(status, json.dumps({"error": details}).encode("utf-8", "backslashreplace"))
