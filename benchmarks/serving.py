"""The rehearsal's endpoint against its SavedModel and against uvicorn: `.venv/bin/python benchmarks/serving.py`.

Prints milliseconds a request and, as the ratios that count, how many times those of a direct call and of uvicorn with
starlette and the same model that is; then what 32 clients for a minute, a quarter of them wrong or slow, do to it.
Nothing is asserted: a machine's speed is not a test. Needs `uvicorn` and `starlette` (tests/requirements.txt).
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onstage.serving.process import ServingProcess

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, CLIENTS = 1000, 4
# The usual way to put a model behind HTTP in Python, with the v1 Session that the endpoint has, too.
UVICORN = """
import json, sys
import numpy as np, tensorflow as tf, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["serving_default"]
fetches = {key: tensor.name for key, tensor in loaded.outputs.items()}
feed = loaded.inputs["features"].name

async def invocations(request):
    rows = np.array((await request.json())["instances"], np.float32)
    found = session.run(fetches, {feed: rows})
    columns = {key: [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
               for key, values in found.items()}
    return JSONResponse({"predictions": [dict(zip(columns, row)) for row in zip(*columns.values())]})

app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""
MINUTE, AT_ONCE = 60, 32
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


def start_uvicorn(model: str) -> tuple[subprocess.Popen[bytes], str]:
    """The process, once it listens, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", UVICORN, model, str(port)], stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"http://127.0.0.1:{port}"
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("uvicorn does not start: pip install -r tests/requirements.txt")


def memory(pid: int) -> float:
    """Megabytes of a process, where the system says so."""
    status = Path(f"/proc/{pid}/status")
    return (
        int(status.read_text(encoding="utf-8").split("VmRSS:")[1].split()[0]) / 1024
        if status.exists()
        else float("nan")
    )


def threads(pid: int) -> int:
    """Threads of a process, where the system says so."""
    folder = Path(f"/proc/{pid}/task")
    return len(list(folder.iterdir())) if folder.exists() else -1


def minute(server: ServingProcess) -> None:
    """32 clients for a minute: a quarter of the requests are wrong, and slow connections beside them all the time."""
    port = int(server.url.rpartition(":")[2])
    until = time.monotonic() + MINUTE
    kind = {"Content-Type": "application/json"}
    row = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]})
    wrong = ['{"instances": [[1, "a"]]}', "{", json.dumps({"instances": [["x" * 100_000]]}), "[" * 10_000, ""]

    def client(number: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        count = number
        while time.monotonic() < until:
            count += 1
            is_wrong = count % 4 == 0
            try:
                connection.request("POST", "/invocations", wrong[count // 4 % len(wrong)] if is_wrong else row, kind)
                answer = connection.getresponse()
                answer.read()
                expected = 400 if is_wrong else 200
                seen["right" if answer.status == expected else f"status {answer.status}, not {expected}"] += 1
            except (OSError, http.client.HTTPException) as error:
                seen[type(error).__name__] += 1
                connection.close()
        return seen

    def slow() -> Counter[str]:
        seen: Counter[str] = Counter()
        while time.monotonic() < until:
            with socket.create_connection(("127.0.0.1", port), timeout=90) as connection:
                try:
                    for _ in range(100):
                        connection.sendall(b"POST /invocations HTTP/1.1\r\nX: y\r\n"[:20])
                        time.sleep(0.5)
                        if time.monotonic() > until:
                            break
                except OSError:
                    seen["slow ones closed by the server"] += 1
        return seen

    sizes, most = [memory(server.pid)], 0
    with ThreadPoolExecutor(AT_ONCE + 160) as pool:
        tasks = [pool.submit(client, number) for number in range(AT_ONCE)] + [pool.submit(slow) for _ in range(160)]
        while time.monotonic() < until:
            time.sleep(5)
            sizes.append(memory(server.pid))
            most = max(most, threads(server.pid))
        seen = sum((task.result() for task in tasks), Counter[str]())
    print(f"\n{AT_ONCE} clients and 160 slow connections for {MINUTE} s: {dict(seen)}")
    print(f"  memory every 5 s, MB: {', '.join(f'{size:.0f}' for size in sizes)}; at most {most} threads")
    print(f"  tracebacks in the log: {server.log().count('Traceback')}")


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
    uvicorn, uvicorn_url = start_uvicorn(model)
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
                "HTTP, SageMaker's /invocations": (ours := milliseconds(poster(server.url, "/invocations", rows))),
                "HTTP, uvicorn and starlette": (theirs := milliseconds(poster(uvicorn_url, "/invocations", rows))),
            },
        )
        print(f"  p50 of /invocations by uvicorn's: {ours[len(ours) // 2] / theirs[len(theirs) // 2]:.2f}")
        posts = [poster(server.url, "/invocations", rows) for _ in range(CLIENTS)]
        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda post: milliseconds(post, ROUNDS // 2), posts))
        rate = CLIENTS * (ROUNDS // 2 + 20) * rows / (time.perf_counter() - started) / 1000
        print(f"  {CLIENTS} clients at once: {rate:.1f} thousand rows/s")
    uvicorn.terminate()
    minute(server)
    server.stop()


if __name__ == "__main__":
    main()
