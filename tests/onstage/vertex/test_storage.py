"""TensorFlow's own gs:// file system, a whole training and google-cloud-storage work with the fake of Cloud Storage."""

import http.client
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onstage.vertex.agent.gcs_proxy import CloudStorageProxy
from tests.conftest import ROOT, Command
from tests.oracles import aiplatform

FILES = r"""
import tensorflow as tf
from tensorflow.io import gfile

with gfile.GFile("gs://bkt/in/a b.txt", "w") as file:
    file.write("one\ntwo\n")
with gfile.GFile("gs://bkt/in/a b.txt", "a") as file:
    file.write("three\n")
print(gfile.GFile("gs://bkt/in/a b.txt").read().split(), gfile.stat("gs://bkt/in/a b.txt").length)
print(gfile.exists("gs://bkt/in/none"), gfile.isdir("gs://bkt/in"), gfile.exists("gs://none/x"))
gfile.makedirs("gs://bkt/empty/folder")
print(gfile.isdir("gs://bkt/empty/folder"), gfile.listdir("gs://bkt"), gfile.listdir("gs://bkt/empty"))
gfile.copy("gs://bkt/in/a b.txt", "gs://bkt/in/deep/c.txt")
print(gfile.glob("gs://bkt/in/*.txt"), [names for _, _, names in gfile.walk("gs://bkt/in")])
print([line.numpy() for line in tf.data.TextLineDataset(gfile.glob("gs://bkt/in/*/c.txt"))])
gfile.rename("gs://bkt/in/deep", "gs://bkt/moved")
print(gfile.glob("gs://bkt/moved/*"))
gfile.rmtree("gs://bkt/moved")
print(gfile.glob("gs://bkt/moved/*"))
content = bytes(range(256)) * 20000
with gfile.GFile("gs://bkt/large", "wb") as file:
    file.write(content)
file = gfile.GFile("gs://bkt/large", "rb")
file.seek(5_000_000)
assert file.read() == content[5_000_000:]
try:
    gfile.GFile("gs://bkt/in/none").read()
except tf.errors.NotFoundError:
    print("NotFoundError")
writer = tf.summary.create_file_writer("gs://bkt/logs")
with writer.as_default():
    for step in range(3):
        tf.summary.scalar("loss", 0.5, step)
        writer.flush()
print(len(gfile.glob("gs://bkt/logs/events*")))
"""
STORAGE = r"""
import os, sys
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

client = storage.Client(project="proj", credentials=AnonymousCredentials())
bucket = client.create_bucket("bkt-1", location="europe-west4")
print(bucket.location, client.get_bucket("bkt-1").name)

def refused(action):
    try:
        action()
    except exceptions.GoogleAPICallError as error:
        return type(error).__name__

print(refused(lambda: client.create_bucket("bkt-1")), refused(lambda: client.get_bucket("bkt-2")))
print(refused(lambda: bucket.blob("none").download_as_bytes()))
print(refused(lambda: bucket.blob("../x").upload_from_string("x")))
content = os.urandom(3_000_000)
with open("large", "wb") as file:
    file.write(content)
large = bucket.blob("a/large", chunk_size=1024 * 1024)
large.upload_from_filename("large", checksum="crc32c")
bucket.blob("a/small ü?.txt").upload_from_string("small", checksum="crc32c")
bucket.blob("a/b/empty").upload_from_string(b"")
bucket.blob("a/md5").upload_from_string("md5", checksum="md5")
large.reload()
print(large.size, large.crc32c is not None, large.md5_hash is not None, large.time_created is not None)
assert bucket.blob("a/large").download_as_bytes(checksum="crc32c") == content
assert bucket.blob("a/large").download_as_bytes(start=10, end=19) == content[10:20]
assert bucket.blob("a/large", chunk_size=256 * 1024 * 4).download_as_bytes() == content
assert bucket.blob("a/b/empty").download_as_bytes() == b""
print(bucket.blob("a/small ü?.txt").download_as_text(), bucket.blob("a/none").exists(), large.exists())
print(refused(lambda: bucket.blob("a/md5").upload_from_string("new", if_generation_match=0)))
bucket.blob("a/md5").upload_from_string("new", if_generation_match=bucket.get_blob("a/md5").generation)
pages = list(client.list_blobs("bkt-1", prefix="a/", page_size=2).pages)
print([[blob.name for blob in page] for page in pages])
listed = client.list_blobs("bkt-1", prefix="a/", delimiter="/")
print([blob.name for blob in listed], sorted(listed.prefixes))
copy = bucket.copy_blob(large, bucket, "copied")
assert copy.download_as_bytes() == content
moved = bucket.rename_blob(bucket.blob("a/md5"), "c/moved")
print(moved.download_as_text(), [blob.name for blob in client.list_blobs("bkt-1", prefix="c/")])
large.delete()
print(refused(large.delete), [blob.name for blob in client.list_blobs("bkt-1")])
"""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[CloudStorageProxy]:
    (tmp_path / "root" / "bkt").mkdir(parents=True)
    with CloudStorageProxy(tmp_path / "root", tmp_path) as server:
        yield server


def test_tensorflow_reads_writes_and_lists(storage: CloudStorageProxy, command: Command, tmp_path: Path) -> None:
    done = command(sys.executable, "-c", FILES, cwd=tmp_path, environment=storage.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['one', 'two', 'three'] 14",
        "False True False",
        "True ['empty/', 'in/'] ['folder/']",
        "['gs://bkt/in/a b.txt'] [['a b.txt'], ['c.txt']]",
        "[b'one', b'two', b'three']",
        "['gs://bkt/moved/c.txt']",
        "[]",
        "NotFoundError",
        "1",
    ]
    assert (tmp_path / "root" / "bkt" / "in" / "a b.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.long
def test_a_job_trains_from_gs_to_gs(
    project: Path, storage: CloudStorageProxy, command: Command, tmp_path: Path
) -> None:
    bucket = tmp_path / "root" / "bkt"
    # As data is mounted in a rehearsal: links to the user's files, which nothing may change.
    shutil.copytree(project / "data", tmp_path / "data")
    for channel in ("train", "eval"):
        (bucket / "data" / channel).mkdir(parents=True)
        (bucket / "data" / channel / "iris.csv").symlink_to(tmp_path / "data" / channel / "iris.csv")
    (tmp_path / "empty").mkdir()
    job = {
        "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1", "AIP_MODEL_DIR": "gs://bkt/job/model/",
        "AIP_CHECKPOINT_DIR": "gs://bkt/job/checkpoints/", "AIP_TENSORBOARD_LOG_DIR": "gs://bkt/job/logs/",
    }  # fmt: skip
    flags = ["--train-data=gs://bkt/data/train", "--eval-data=gs://bkt/data/eval", "--epochs=2"]
    done = command(
        sys.executable, "-m", "trainer.task", *flags,
        cwd=tmp_path / "empty", environment={**storage.environment, **job},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^epoch=", done.stdout, re.MULTILINE)) == 2
    assert (bucket / "job" / "model" / "1" / "saved_model.pb").is_file()
    assert list((bucket / "job" / "checkpoints").rglob("*.index"))
    assert list((bucket / "job" / "logs").rglob("events*"))
    assert not list((tmp_path / "empty").iterdir())
    assert not (tmp_path / "root" / ".uploads").exists() or not list((tmp_path / "root" / ".uploads").iterdir())


@pytest.mark.long
def test_other_clients_and_other_hosts_get_a_tunnel(
    storage: CloudStorageProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to say."""

    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as outside:
        threading.Thread(target=outside.serve_forever, args=(0.05,), daemon=True).start()
        port = int(storage.url.rpartition(":")[2])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.set_tunnel("127.0.0.1", outside.server_port)
        client.request("GET", "/")
        assert client.getresponse().status == 204
        client.close()
        refused = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        refused.set_tunnel("127.0.0.1", 1)
        with pytest.raises(OSError, match="502"):
            refused.request("GET", "/")
        outside.shutdown()
    assert storage.requests == []


def test_the_private_key_does_not_stay_and_nothing_leads_out_of_the_folder(
    storage: CloudStorageProxy, tmp_path: Path
) -> None:
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["trusted.pem"]
    assert b"PRIVATE" not in (tmp_path / "trusted.pem").read_bytes()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "bkt" / "x").write_text("mine")
    for path, status in (("bkt/x", 200), ("bkt/..%2F..%2Fsecret", 400), ("..%2F/secret", 400), ("bkt/none", 404)):
        asked = urllib.request.Request(f"{storage.url}/download/storage/v1/b/{path.replace('/', '/o/', 1)}?alt=media")
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                assert (answer.status, answer.read()) == (status, b"mine")
        except urllib.error.HTTPError as error:
            assert error.code == status


@pytest.mark.long
def test_google_cloud_storage_uploads_lists_and_downloads_with_checksums(command: Command, tmp_path: Path) -> None:
    python = aiplatform()
    # The server makes checksums where the library for them is, which is where the client is.
    script = (
        "import sys\nsys.dont_write_bytecode = True\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom onstage.vertex.agent.gcs_server import CloudStorageServer\n"
        "with CloudStorageServer(Path('root')) as server:\n"
        "    print(server.url, flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [python, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as server:
        url = server.stdout.readline().strip()
        done = command(python, "-c", STORAGE, cwd=tmp_path, environment={"STORAGE_EMULATOR_HOST": url})
        server.stdin.close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "EUROPE-WEST4 bkt-1",
        "Conflict NotFound",
        "NotFound",
        "BadRequest",
        "3000000 True True True",
        "small False True",
        "PreconditionFailed",
        "[['a/b/empty', 'a/large'], ['a/md5', 'a/small ü?.txt']]",
        "['a/large', 'a/md5', 'a/small ü?.txt'] ['a/b/']",
        "new ['c/moved']",
        "NotFound ['a/b/empty', 'a/small ü?.txt', 'c/moved', 'copied']",
    ]
    assert sorted(path.name for path in (tmp_path / "root" / "bkt-1").rglob("*") if path.is_file()) == [
        "copied", "empty", "moved", "small ü?.txt",
    ]  # fmt: skip
