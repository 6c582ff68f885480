"""start.py behind a company's own certificate authority, which is in the system's store and nowhere else.

A package index on loopback has a certificate of such an authority. start.py runs in a mount namespace of its own, in
which the system's store is that authority alone.
"""

import functools
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import ROOT

PEM = serialization.Encoding.PEM
PATHS = ssl.get_default_verify_paths()
# Where systems keep their store: what uv, truststore and Python's ssl look for.
FOLDERS = ["/etc/ssl/certs", "/etc/pki/tls/certs", PATHS.openssl_capath]
FILES = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    PATHS.openssl_cafile,
]
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
# Does what it is told with start.py's own functions, its folders moved; prints what that said and left.
DRIVER = """
import json, sys
from pathlib import Path
import start

folder, tools, *steps = sys.argv[1:]
start.ENVIRONMENT = Path(tools)
start.PROJECT_ENVIRONMENT = Path(folder) / "environment"
for step in steps:
    if step == "tools":
        start.make_environment(start.ENVIRONMENT)
        print("uv is there" if start.has_uv() else "uv is missing")
    elif step == "environment":
        start.make_environment(start.PROJECT_ENVIRONMENT)
    else:
        start.install(start.PROJECT_ENVIRONMENT, [step], [])
        print("installed")
"""


def _namespace_problem() -> str:
    """Why this machine has no mount namespace for us; empty if it has."""
    if shutil.which("unshare") is None or shutil.which("openssl") is None:
        return "needs unshare and openssl"
    done = subprocess.run([*NAMESPACE, "mount", "--bind", "/tmp", "/mnt"], capture_output=True, text=True, check=False)
    return f"no mount namespace on this machine: {done.stderr.strip()}" if done.returncode else ""


PROBLEM = _namespace_problem()
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)


class Company:
    """The company's store (a folder as /etc/ssl/certs is one), and its package index."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def run(self, place: Path, *steps: str, tools: Path = Path(sys.prefix), **variables: str) -> str:
        """What start.py says while it does these steps, with only the system's store to know the index by."""
        store = self.folder / "store"
        folders = list(dict.fromkeys(os.path.realpath(name) for name in FOLDERS if os.path.isdir(name)))
        lines = [f"mount --bind '{store}' '{name}'" for name in folders]
        lines += [f"! test -f '{name}' || mount --bind '{store}/ca-certificates.crt' '{name}'" for name in FILES]
        inside = [sys.executable, "-c", DRIVER, place, tools, *steps]
        prefixes = ("SSL_", "PIP_", "UV_", "PYTHON", "REQUESTS_", "CURL_")
        scrubbed = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(prefixes) and not name.lower().endswith("_proxy")
        }
        own = {
            "PYTHONPATH": str(ROOT),
            "UV_DEFAULT_INDEX": self.url,
            "UV_CACHE_DIR": str(place / "cache"),
            "UV_NO_CONFIG": "1",
            "PIP_INDEX_URL": self.url,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        done = subprocess.run(
            [*NAMESPACE, "sh", "-ec", "\n".join([*lines, 'exec "$@"']), "sh", *inside],
            cwd=place, env={**scrubbed, **own, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _authority(folder: Path) -> None:
    """`store/`, as the system's, with the authority's certificate; `server.pem`, a key and its certificate by it."""
    now = datetime.now(timezone.utc)
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    key_id = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder(named("A Company's Authority"), named(name), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(authority, hashes.SHA256()).public_bytes(PEM)

    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    may_sign = x509.KeyUsage(key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False, **usage)
    own = certificate(
        "A Company's Authority", authority, (x509.BasicConstraints(True, None), True), (may_sign, True), (key_id, False)
    )
    store = folder / "store"
    store.mkdir()
    for name in ("ca-certificates.crt", "ca-bundle.crt"):
        (store / name).write_bytes(own)
    words = ["openssl", "x509", "-noout", "-subject_hash", "-in", store / "ca-certificates.crt"]
    name = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    (store / f"{name}.0").write_bytes(own)
    private = server.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    (folder / "server.pem").write_bytes(private + certificate("127.0.0.1", server, (address, False), (by, False)))


def _wheel(folder: Path, name: str, module: str) -> None:
    """A wheel of one module that can be run."""
    description = {
        f"{name}/__init__.py": "",
        f"{name}/__main__.py": module,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, content in description.items():
            archive.writestr(path, content)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """An index with a small package, another in uv's place, and what uv puts into a new environment."""
    folder = tmp_path_factory.mktemp("company")
    _authority(folder)
    wheels = folder / "wheels"
    wheels.mkdir()
    seeds = ["pip>=24.2", "setuptools", "wheel"]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels, *seeds]
    subprocess.run(words, check=True, capture_output=True)
    _wheel(wheels, "abacus", "")
    _wheel(wheels, "uv", "print('uv 1.0')")
    index = folder / "index"
    for wheel in wheels.iterdir():
        page = index / "simple" / wheel.name.split("-")[0].lower() / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, page.parent / wheel.name)
        page.write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>', encoding="utf-8")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Nothing: pytest would show it."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *words: object) -> None:
            """Nothing: a client that does not know the authority breaks off, as it should."""

    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(index)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    # The handshake in the connection's own thread: one that is broken off must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Company(folder, f"https://127.0.0.1:{server.server_address[1]}/simple")
    server.shutdown()


def installer(place: Path) -> str:
    """What installed the small package: every installer writes its name."""
    [file] = (place / "environment").rglob("abacus-1.0.dist-info/INSTALLER")
    return file.read_text(encoding="utf-8").strip()


def test_uv_reads_the_systems_certificates(company: Company, tmp_path: Path) -> None:
    assert company.run(tmp_path, "environment", "abacus") == "installed\n"
    assert installer(tmp_path) == "uv"


@pytest.mark.long
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("UV_SYSTEM_CERTS", "0", "invalid peer certificate: UnknownIssuer"),
        ("UV_NATIVE_TLS", "0", "invalid peer certificate: UnknownIssuer"),
        ("UV_OFFLINE", "1", ""),
    ],
)
def test_whoever_tells_uv_otherwise_is_obeyed_and_pip_follows_a_uv_that_failed(
    variable: str, value: str, reason: str, company: Company, tmp_path: Path
) -> None:
    said = company.run(tmp_path, "environment", "abacus", "abacus", **{variable: value}).splitlines()
    # The environment, the package; the second time it is there.
    assert [line for line in said if line == "installed"] == said[2:], said
    for line in said[:2]:
        assert line.startswith(f"uv failed: {reason}")
        assert line.endswith("; going on with venv and pip, which takes minutes longer")
    assert len(said) == 4
    assert installer(tmp_path) == "pip"
    assert len(list((tmp_path / "environment").glob("installed-*"))) == 1


@pytest.mark.long
def test_a_pip_that_reads_only_its_own_certificates_is_given_the_systems(company: Company, tmp_path: Path) -> None:
    assert company.run(tmp_path, "tools", tools=tmp_path / "tools") == "uv is there\n"


@pytest.mark.long
def test_the_certificates_that_a_user_chose_for_pip_stay_the_only_ones(company: Company, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _authority(tmp_path / "other")
    chosen = str(tmp_path / "other" / "store" / "ca-certificates.crt")
    said = company.run(tmp_path, "tools", tools=tmp_path / "tools", PIP_CERT=chosen)
    if version_of_pip(tmp_path / "tools") < (24, 2):
        assert said == "uv cannot be installed here; going on with pip, which takes minutes longer\nuv is missing\n"
    else:
        # It adds the system's to the user's.
        assert said == "uv is there\n"


def version_of_pip(environment: Path) -> tuple[int, ...]:
    """The version of an environment's pip."""
    [folder] = environment.rglob("pip-*.dist-info")
    return tuple(int(part) for part in folder.name.split("-")[1].split(".")[:2])
