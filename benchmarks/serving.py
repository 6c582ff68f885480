"""The rehearsal's endpoint against calling its SavedModel directly: `.venv/bin/python benchmarks/serving.py`.

Prints milliseconds a request and, as the ratio that counts, how many times the direct call that is. Nothing is
asserted: a machine's speed is not a test.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onstage.serving.process import ServingProcess

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, CLIENTS = 1000, 4
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"


def milliseconds(call: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The sorted times of `rounds` calls, after a few first ones."""
    for _ in range(20):
        call()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)


def show(rows: int, results: dict[str, list[float]]) -> None:
    """A table whose first row is the baseline."""
    baseline = next(iter(results.values()))
    print(f"\n{rows} rows a request: p50 ms, p99 ms, thousand rows/s one after the other, ratio of p50")
    for name, times in results.items():
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        rate = rows * len(times) / sum(times)
        print(f"  {name:<42} {p50:>7.3f} {p99:>7.3f} {rate:>8.1f} {p50 / baseline[len(baseline) // 2]:>7.2f}")


def main() -> None:
    """Render a project, train, serve, measure."""
    folder = Path(tempfile.mkdtemp())
    render = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder, ROOT]
    subprocess.run(render, check=True, stdout=subprocess.DEVNULL)
    project = folder / "iris_classifier"
    train = [sys.executable, "train.py", "--epochs", "2", "--job-dir", folder / "job"]
    subprocess.run(train, cwd=project, check=True, stdout=subprocess.DEVNULL)
    started = time.perf_counter()
    server = ServingProcess()
    server.load(folder / "job" / "model")
    print(f"a server from nothing to AVAILABLE: {time.perf_counter() - started:.1f} s")
    import numpy as np
    import tensorflow as tf

    model = str(folder / "job" / "model" / "1")
    signature = tf.saved_model.load(model).signatures["serving_default"]
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], model).signature_def["serving_default"]
    fetches = {key: tensor.name for key, tensor in loaded.outputs.items()}
    feed = loaded.inputs["features"].name

    def poster(url: str, path: str, rows: int) -> Callable[[], object]:
        connection = http.client.HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]))
        body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * rows})

        def post() -> None:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            connection.getresponse().read()

        return post

    for rows in (1, 32):
        values = np.float32([[5.1, 3.5, 1.4, 0.2]] * rows)
        tensor = tf.constant(values)

        def direct(tensor: tf.Tensor = tensor) -> None:
            for output in signature(features=tensor).values():
                output.numpy()

        def in_session(values: np.ndarray = values) -> None:
            session.run(fetches, {feed: values})

        show(
            rows,
            {
                "tf.saved_model.load, signature": milliseconds(direct),
                "v1 Session.run": milliseconds(in_session),
                "HTTP, TensorFlow Serving's REST": milliseconds(
                    poster(server.rest_url, "/v1/models/model:predict", rows)
                ),
                "HTTP, SageMaker's /invocations": milliseconds(poster(server.url, "/invocations", rows)),
            },
        )
        posts = [poster(server.url, "/invocations", rows) for _ in range(CLIENTS)]
        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda post: milliseconds(post, ROUNDS // 2), posts))
        rate = CLIENTS * (ROUNDS // 2 + 20) * rows / (time.perf_counter() - started) / 1000
        print(f"  {CLIENTS} clients at once: {rate:.1f} thousand rows/s")
    server.stop()


if __name__ == "__main__":
    main()
