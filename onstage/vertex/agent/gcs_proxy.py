"""Points TensorFlow's own gs:// file system, the C++ code that a job uses, at a Cloud Storage server on this machine.

TensorFlow has no setting for the endpoint. Its HTTP library honours https_proxy and CURL_CA_BUNDLE, so the server is
the job's proxy, with a certificate that only the job trusts. Outside of the job's environment nothing changes.
"""

import datetime
import selectors
import socket
import ssl
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onstage.vertex.agent.gcs_server import CloudStorageServer, Handler

# What TensorFlow's gs:// file system asks, and how it introduces itself. Other clients get a tunnel to where they
# want: pretrained weights, for one, are public files at the second of these hosts.
HOSTS = ("www.googleapis.com", "storage.googleapis.com")
USER_AGENT = "TSL"


class CloudStorageProxy(CloudStorageServer):
    """gs:// below `root` for TensorFlow and google-cloud-storage in processes that have its `environment`.

    `folder` takes the certificate. Its private key is on the disk for a moment only.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        super().__init__(root, _Handler)
        certificate, key = _certificate()
        self._trusted = folder / "trusted.pem"
        # The job may also speak to others: through `requests`, which reads the same variable.
        usual = ssl.get_default_verify_paths().cafile
        self._trusted.write_bytes(certificate + (Path(usual).read_bytes() if usual else b""))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        private = folder / "private.pem"
        private.touch(mode=0o600)
        private.write_bytes(certificate + key)
        self.tls.load_cert_chain(private)
        private.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a process here. None is one of Vertex AI's."""
        return {
            "https_proxy": self.url,
            "no_proxy": "127.0.0.1,localhost",
            "CURL_CA_BUNDLE": str(self._trusted),
            # TensorFlow then looks for no credentials: neither in files, nor at a metadata server that is not there.
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "rehearsal",
            # What fails here will not be better in three minutes.
            "GCS_RETRY_CONFIG_MAX_RETRIES": "2",
            "STORAGE_EMULATOR_HOST": self.url,
        }


class _Handler(Handler):
    server: CloudStorageProxy

    def do_CONNECT(self) -> None:  # noqa: N802 - the name that http.server calls
        host, _, port = self.path.rpartition(":")
        if host in HOSTS and self.headers.get("User-Agent", "").startswith(USER_AGENT):
            self._agree()
            self.finish()
            self.request = self.server.tls.wrap_socket(self.connection, server_side=True)
            self.setup()
            return
        self.close_connection = True
        try:
            outside = _connection(host, int(port))
        except (OSError, ValueError) as error:
            self.send_error(502, f"no connection to {self.path}: {error}")
            return
        with outside:
            self._agree()
            _exchange(self.connection, outside)

    def _agree(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()


def _connection(host: str, port: int) -> socket.socket:
    """A connection to a host, by way of this machine's own proxy if it has one."""
    proxy = urlsplit(urllib.request.getproxies().get("https", ""))
    if not proxy.hostname or urllib.request.proxy_bypass(host):
        return socket.create_connection((host, port), timeout=10)
    connection = socket.create_connection((proxy.hostname, proxy.port or 80), timeout=10)
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        received = connection.recv(1)
        answer += received
        if not received or len(answer) > 65536:
            break
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        connection.close()
        raise OSError(f"the proxy {proxy.hostname} answered {answer[:60]!r}")
    return connection


def _exchange(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side has nothing more to say."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while True:
            for ready, _ in selector.select():
                source, target = ready.data
                received = source.recv(65536)
                if not received:
                    return
                target.sendall(received)


def _certificate() -> tuple[bytes, bytes]:
    """A new certificate for `HOSTS` that is good for a day, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsal")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ a little.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private
