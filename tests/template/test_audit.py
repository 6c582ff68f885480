"""The audit of dependencies says "nothing is known" only of what was audited, by the real pip-audit."""

import json
import re
import runpy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT

AUDIT = runpy.run_path(str(ROOT / "packaging" / "audit.py"))
KNOWN = {
    "id": "PYSEC-2099-1",
    "modified": "2099-01-01T00:00:00Z",
    "summary": "it does what it should not",
    "affected": [{"package": {"name": "six", "ecosystem": "PyPI"}, "ranges": [], "versions": ["1.16.0"]}],
}


class Advisories(BaseHTTPRequestHandler):
    """An OSV database that knows something of one version."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = [KNOWN] if (asked["package"]["name"], asked["version"]) == ("six", "1.16.0") else []
        content = json.dumps({"vulns": known} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/v1/query")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    server.shutdown()
    server.server_close()


def audited(text: str, folder: Path) -> bool:
    (folder / "list.txt").write_text(text, encoding="utf-8")
    return AUDIT["audit"]("a list", folder / "list.txt", "osv")


@pytest.mark.long
def test_what_is_known_is_printed_and_what_is_not_is_counted(
    database: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited("six==1.17.0\nfilelock==3.20.0\n", tmp_path)
    assert capsys.readouterr().out == "a list: 2 packages, nothing is known of them\n"
    assert not audited("six==1.16.0\n", tmp_path)
    assert re.search(r"six\s+1\.16\.0\s+PYSEC-2099-1", capsys.readouterr().out)


def test_a_database_that_does_not_answer_is_no_audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/v1/query")
    with pytest.raises(AUDIT["NotAuditedError"], match=r"^a list: 1 packages: \S"):
        audited("six==1.17.0\n", tmp_path)
    assert capsys.readouterr().out == ""


def test_every_requirement_of_the_package_and_of_a_project_is_in_a_list(tmp_path: Path) -> None:
    lists = {name: requirements for name, _, requirements in AUDIT["wanted"](tmp_path)}
    package = lists["onstage with all extras, Python 3.12"].splitlines()
    metadata = (ROOT / "packaging" / "METADATA").read_text(encoding="utf-8")
    assert len(package) == metadata.count("\nRequires-Dist: ") > 20
    assert 'tomli>=2; python_version < "3.11"' in package
    assert not [line for line in package if "extra" in line]
    assert "tensorflow[and-cuda]==2.21.0" in lists["a project for gpu"]
    assert "tensorflow-cpu==2.21.0" in lists["a project for cpu"]
    assert "cookiecutter" in lists["the template's tools and tests"]
