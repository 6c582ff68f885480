"""Points TensorFlow's own gs:// file system, the C++ code that a job uses, at a Cloud Storage server on this machine.

TensorFlow has no setting for the endpoint. Its HTTP library honours https_proxy and CURL_CA_BUNDLE, so the server is
the job's proxy, with a certificate that only the job trusts. Outside of the job's environment nothing changes.
"""

import datetime
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onstage.rehearsal import tunnel
from onstage.vertex.agent.gcs_server import CloudStorageServer, Handler

# What TensorFlow's gs:// file system asks, and how it introduces itself. Other clients get a tunnel to where they
# want: pretrained weights, for one, are public files at the second of these hosts.
HOSTS = ("www.googleapis.com", "storage.googleapis.com")
USER_AGENT = "TSL"


class CloudStorageProxy(CloudStorageServer):
    """gs:// below `root` for TensorFlow and google-cloud-storage in processes that have its `environment`.

    `folder` takes the certificate. Its private key is on the disk for a moment only. A proxy that is `beside` another
    has its objects and its certificate, and knows of its own what was written by way of it.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        *,
        beside: "CloudStorageProxy | None" = None,
        listener: socket.socket | None = None,
    ) -> None:
        super().__init__(root, _Handler, objects=beside.objects if beside else None, listener=listener)
        self._trusted = folder / "trusted.pem"
        self.tls: ssl.SSLContext = beside.tls if beside else self._make_certificate(folder)

    def _make_certificate(self, folder: Path) -> ssl.SSLContext:
        certificate, key = _certificate()
        # The job may also speak to others: through `requests`, which reads the same variable.
        usual = ssl.get_default_verify_paths().cafile
        self._trusted.write_bytes(certificate + (Path(usual).read_bytes() if usual else b""))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        private = folder / "private.pem"
        private.touch(mode=0o600)
        private.write_bytes(certificate + key)
        tls.load_cert_chain(private)
        private.unlink()
        return tls

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
            tunnel.agree(self)
            self.finish()
            self.request = self.server.tls.wrap_socket(self.connection, server_side=True)
            self.setup()
            return
        tunnel.lead(self, host, port)


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
