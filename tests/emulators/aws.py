"""AWS on loopback: moto behind a door that can be slow, broken or forbidding, and a SageMaker that really works.

moto does S3, IAM, STS, CloudFormation, CloudWatch Logs and SageMaker's models and configurations; jobs and endpoints
are those of tests.emulators.sagemaker.
"""

import http.client
import json
import logging
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer
from typing_extensions import Self

from tests.emulators.sagemaker import REGION, Answer, SageMaker, refusal

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-must-see"}


@dataclass
class Fault:
    """Answers requests whose label `pattern` finds: with an error, or with nothing (`status` 0)."""

    pattern: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int = 1_000_000
    # The request is carried out, and its answer is lost.
    after: bool = False


class FakeAws(SageMaker):
    """Use `with`; clients reach it by `environment`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        # Seconds that requests take whose label the pattern finds.
        self.slow = ("", 0.0)
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto.start()
        self._moto_port = self._moto.get_host_and_port()[1]
        # It has one memory for all of a process.
        httpx.post(f"http://127.0.0.1:{self._moto_port}/moto-api/reset").raise_for_status()
        fake = self

        class Handler(_Handler):
            aws = fake

        self._door = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._door.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._door.server_address[1]}"
        threading.Thread(target=self._door.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()
        self._door.shutdown()
        self._door.server_close()
        self._moto.stop()

    @property
    def environment(self) -> dict[str, str]:
        """For a client in another process; nothing of this machine's AWS configuration is read."""
        nowhere = str(self.folder / "no-such-file")
        return {
            **KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip

    def client(self, service: str, region: str = REGION) -> Any:
        """A client that goes past the door: no fault, no latency."""
        return boto3.client(
            service, region_name=region, endpoint_url=f"http://127.0.0.1:{self._moto_port}",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def fail(self, pattern: str, code: str = "", message: str = "", status: int = 400, **options: Any) -> None:
        """Let requests whose label matches fail; status 0 breaks the connection."""
        self.faults.append(Fault(pattern, code, message, status, **options))

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """The answer to a request, None to break the connection."""
        target = headers.get("x-amz-target", "")
        action = (
            re.search(rb"Action=(\w+)", body[:2000])
            if "x-www-form-urlencoded" in headers.get("content-type", "")
            else None
        )
        label = target or (action[1].decode() if action else f"{method} {path}")
        self.seen.append(label)
        if self.slow[1] and re.search(self.slow[0], label):
            time.sleep(self.slow[1])
        fault = next((one for one in self.faults if one.times > 0 and re.search(one.pattern, label)), None)
        if fault:
            fault.times -= 1
            if fault.after:
                self._carry_out(method, path, headers, body, target)
            return _error(fault, method, target, action is not None) if fault.status else None
        return self._carry_out(method, path, headers, body, target)

    def _carry_out(self, method: str, path: str, headers: dict[str, str], body: bytes, target: str) -> Answer:
        if target.startswith("SageMaker."):
            answer = self.carry_out(target.partition(".")[2], json.loads(body))
            return answer or self._forward(method, path, headers, body)
        if path.startswith("/endpoints/"):
            return self.invoke(path.split("/")[2], headers, body)
        if target.startswith("AnyScaleFrontendService."):
            self.bodies.append((target.partition(".")[2], json.loads(body)))
            return 200, {}, b"{}"
        return self._forward(method, path, headers, body)

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding", "expect", "content-length"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        kept = {
            name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "date", "server")
        }
        connection.close()
        return answer.status, kept, content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: FakeAws

    def _any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(headers.get("content-length") or 0))
        try:
            answer = self.aws.respond(self.command, self.path, headers, body)
        except Exception as error:  # noqa: BLE001 - a defect of the fake has to be seen
            answer = refusal("InternalFailure", f"the fake failed: {error!r}", 500)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, kept, content = answer
        self.send_response(status)
        if self.command != "HEAD":
            kept = {name: value for name, value in kept.items() if name.lower() != "content-length"}
            kept["Content-Length"] = str(len(content))
        kept.setdefault("Content-Length", "0")
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def _error(fault: Fault, method: str, target: str, is_query: bool) -> Answer:
    if method == "HEAD":
        return fault.status, {}, b""
    if target or fault.pattern.startswith("POST /endpoints"):
        return refusal(fault.code, fault.message, fault.status)
    error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    content = f"<ErrorResponse>{error}</ErrorResponse>" if is_query else error
    return fault.status, {"Content-Type": "text/xml"}, content.encode()
