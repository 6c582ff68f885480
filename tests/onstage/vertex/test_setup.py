"""`onstage vertex setup`, account.sh, credentials: what is missing is named, and made only when asked."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onstage.vertex.client import setup
from onstage.vertex.requests import policies
from tests.conftest import Command
from tests.emulators.google import NUMBER, PROJECT
from tests.onstage.vertex.desk import Desk, FakeGoogle, make_desk


@pytest.fixture
def desk(project: Path, tmp_path: Path) -> Iterator[Desk]:
    """A project whose settings.toml names a bucket that nobody has made."""
    google = FakeGoogle(tmp_path / "google")
    yield make_desk(project, tmp_path / "project", google)
    google.close()


def test_without_credentials_and_with_bad_ones_it_says_how_to_log_in(desk: Desk, tmp_path: Path) -> None:
    nobody = {name: "" for name in desk.google.environment}
    nobody |= {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}
    said = desk.run("upload", code=1, **nobody)
    assert "nobody is logged in on this machine" in said
    assert "gcloud auth application-default login" in said
    file = tmp_path / "account.json"
    file.write_text(json.dumps(service_account(desk.google.around.url)))
    said = desk.run("upload", code=1, **nobody, GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert "your session has ended, or the credentials are wrong" in said
    assert "PRIVATE" not in said


def service_account(url: str) -> dict[str, str]:
    """The key file of an account that nobody knows."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account", "client_email": "me@proj.iam.gserviceaccount.com", "private_key": pem,
        "private_key_id": "1", "project_id": PROJECT, "token_uri": f"{url}/token",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", "https://aiplatform.example.com"),
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1.example.com:80"),
    ],
)
def test_nobody_gets_the_credentials_by_an_address(desk: Desk, name: str, url: str) -> None:
    said = desk.run("upload", code=1, **{name: url})
    assert f"{name} is" in said
    assert "only a server on this machine" in said


def test_setup_names_what_is_missing_and_makes_it_when_asked(project: Path, desk: Desk, tmp_path: Path) -> None:
    around = desk.google.around
    fresh = make_desk(project, tmp_path / "fresh", desk.google, "")
    around.denied = {"aiplatform.endpoints.deploy"}
    said = fresh.run("setup", code=1)
    for missing in (
        "not enabled: aiplatform.googleapis.com", "missing: aiplatform.endpoints.deploy", "names no bucket",
        "names no service_account", "there is no repository docker-hub", "roles/storage.objectUser on gs://",
        "quotas           ",
    ):  # fmt: skip
        assert missing in said
    made = len(around.requests)
    bodies = fresh.run("setup", "--create", "--dry-run")
    assert '"publicAccessPrevention": "enforced"' in bodies
    assert not [one for one in around.requests[made:] if "POST" in one]
    around.denied = set()
    around.limits = {"custom_model_training_cpus": 42, "custom_model_serving_cpus": 1}
    said = fresh.run("setup", "--create")
    bucket = f"{PROJECT}-iris-classifier"
    email = f"iris-classifier-vertex@{PROJECT}.iam.gserviceaccount.com"
    lines = said.partition("[vertex]:\n")[2].splitlines()
    assert lines == [f'bucket = "{bucket}"', f'service_account = "{email}"', 'repository = "docker-hub"']
    member = [f"serviceAccount:{email}"]
    assert {"role": "roles/logging.logWriter", "members": member} in around.policy["bindings"]
    assert around.policy["bindings"][0]["role"] == "roles/owner"
    granted = desk.google.storage.policies[bucket]["bindings"]
    assert [one["members"] for one in granted] == [member, member]
    policy = json.dumps(around.policy["bindings"])
    fresh.run("setup", "--create")
    assert json.dumps(around.policy["bindings"]) == policy
    fresh.change(f'project = "{PROJECT}"\nbucket = ""\n', "\n".join([f'project = "{PROJECT}"', *lines]) + "\n")
    said = fresh.run("setup", code=1)
    assert "custom_model_serving_cpus: 1 in us-central1, and settings.toml wants 2" in said
    assert said.count("FAILED") == 2
    around.limits["custom_model_serving_cpus"] = 8
    assert f"projects/{NUMBER}" in fresh.run("setup")


def test_the_script_is_written_for_an_administrator_who_runs_it_as_printed(
    desk: Desk, command: Command, tmp_path: Path
) -> None:
    said = desk.run("setup", "--write", "infra")
    file = desk.folder / "infra" / "vertex.sh"
    assert os.access(file, os.X_OK)
    line = said.partition("then: ")[2].splitlines()[0]
    words = line.removesuffix(" --apply").split()
    assert words[:2] == ["bash", "infra/vertex.sh"]
    assert PROJECT in words
    done = command(*words, cwd=desk.folder)
    assert done.returncode == 0, done.stderr
    assert "gcloud storage buckets create" in done.stdout
    assert "is there already" in desk.run("setup", "--write", "infra", code=2)
    usage = command(*words[:2], cwd=desk.folder)
    assert (usage.returncode, usage.stderr.partition(" --")[0]) == (2, "usage: vertex.sh")


def test_without_a_project_in_the_settings_it_is_said_where_to_write_its_id(
    project: Path, desk: Desk, tmp_path: Path
) -> None:
    nameless = make_desk(project, tmp_path / "nameless", desk.google, "")
    nameless.change(f'project = "{PROJECT}"', 'project = ""')
    said = nameless.run("setup", "--write", "infra")
    assert "--project PROJECT" in said
    assert "--bucket PROJECT-iris-classifier" in said
    assert "names no project: write its id instead of PROJECT" in said
    report = nameless.run("setup", code=1)
    assert "roles/storage.objectUser on gs://PROJECT-iris-classifier" in report
    assert "names no project:" not in desk.run("setup", "--write", "infra")


SCRIPT = Path(setup.__file__).with_name("account.sh")


def script(project: Path, command: Command, tmp_path: Path, *words: str, there: bool = False) -> list[str]:
    """The gcloud commands that account.sh really runs, with a gcloud that notes them; `there` is what it finds."""
    fake = tmp_path / "bin" / "gcloud"
    fake.parent.mkdir(exist_ok=True)
    notes = tmp_path / "notes"
    notes.write_text("")
    found = 0 if there else 1
    fake.write_text(f'#!/bin/sh\necho "$*" >> {notes}\ncase "$*" in *" describe "*) exit {found};; esac\n')
    fake.chmod(0o755)
    path = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    done = command("bash", SCRIPT, *words, cwd=tmp_path, environment=path)
    assert done.returncode == 0, done.stderr
    return notes.read_text(encoding="utf-8").splitlines()


WORDS = ("--project", "proj", "--region", "us-central1", "--bucket", "bkt", "--user", "you@proj.com")


def test_the_script_makes_and_grants_what_setup_does(project: Path, command: Command, tmp_path: Path) -> None:
    made = script(project, command, tmp_path, *WORDS, "--apply")
    granted = [line.split() for line in made if "add-iam-policy-binding" in line]
    found: dict[tuple[str, str], list[str]] = {}
    for words in granted:
        where = words[0] if words[0] == "projects" else words[1]
        who = words[words.index("--member") + 1].partition(":")[0]
        found.setdefault((where, who), []).append(words[words.index("--role") + 1])
    assert found == {
        ("projects", "serviceAccount"): list(policies.JOBS_IN_PROJECT),
        ("buckets", "serviceAccount"): list(policies.JOBS_IN_BUCKET),
        ("projects", "user"): list(policies.PEOPLE_IN_PROJECT),
        ("buckets", "user"): list(policies.PEOPLE_IN_BUCKET),
        ("service-accounts", "user"): list(policies.PEOPLE_ON_ACCOUNT),
    }
    [enabled] = [line for line in made if line.startswith("services enable")]
    assert [word for word in enabled.split() if "." in word] == [f"{api}.googleapis.com" for api in policies.APIS]
    [bucket] = [line for line in made if "buckets create" in line]
    for flag in ("--location us-central1", "--uniform-bucket-level-access", "--public-access-prevention"):
        assert flag in bucket
    again = script(project, command, tmp_path, *WORDS, "--apply", there=True)
    assert not [line for line in again if " create " in line]


def test_the_script_makes_nothing_unless_asked(project: Path, command: Command, tmp_path: Path) -> None:
    assert script(project, command, tmp_path, *WORDS) == []
    refused = command("bash", SCRIPT, "--project", "proj", cwd=tmp_path)
    assert (refused.returncode, "usage:" in refused.stderr) == (2, True)
    unknown = command("bash", SCRIPT, "--force", cwd=tmp_path)
    assert (unknown.returncode, "--force is not known" in unknown.stderr) == (2, True)


def test_the_script_is_clean(project: Path, command: Command) -> None:
    done = command(Path(sys.executable).with_name("shellcheck"), "--severity", "style", SCRIPT, cwd=project)
    assert (done.returncode, done.stdout) == (0, "")
