"""`onstage serve`: an endpoint on this machine until Ctrl-C."""

import importlib
import json
import shlex
from pathlib import Path

from onstage import progress
from onstage.serving.process import ServedModel, ServingProcess
from onstage.settings import Settings

_ROUTES = {"sagemaker": "/invocations", "vertex": "/v1/models/model:predict"}


def serve(folder: Path, port: int, platform: str, settings: Settings) -> None:
    """Serve the model of `folder` (what model.tar.gz would hold) and print how to ask it. Ends with KeyboardInterrupt.

    A request may be as large as for the endpoint that `settings` describe. Refused ones are explained on standard
    error. Raises UserError when the endpoint would not start.
    """
    limit = importlib.import_module(f"onstage.{platform}.requests.payload").limit_of(settings)
    with ServingProcess(platform, port, show_log=True, environment={"PAYLOAD_LIMIT": str(limit)}) as server:
        with progress.doing("loading the model"):
            model = server.load(folder)
        print(description(server.url, model, _ROUTES[platform]), flush=True)
        server.wait()


def description(url: str, model: ServedModel, route: str) -> str:
    """The address, the signatures and a request that works, to copy into a shell."""
    body = shlex.quote(json.dumps(model.example))
    signatures = "".join(f"\n  {key}: {takes}" for key, takes in model.signatures.items())
    return (
        f"serving version {model.version} at {url}{route}; Ctrl-C ends it\nsignatures:{signatures}\n"
        # A company's proxy does not know this machine.
        f"curl --noproxy 127.0.0.1 -H 'Content-Type: application/json' -d {body} {url}{route}"
    )
