"""settings.toml: what `onstage settings` says of each key, what is accepted, and how a mistake is named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from onstage import settings_page
from onstage.errors import StartError
from onstage.project import Project
from onstage.sagemaker.requests import payload as sagemaker_payload
from onstage.sagemaker_section import SageMaker, Serverless
from onstage.sections import Batch, Data
from onstage.settings import Settings, load
from onstage.vertex.requests import payload as vertex_payload
from onstage.vertex_section import Vertex

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {
    "": {"name": '"iris"'},
    "data": {"train": '"data/train"', "eval": '"data/eval"'},
    "rehearsal": {},
    "sagemaker": {
        "region": '"eu-central-1"',
        "instance_type": '"ml.m5.xlarge"',
        "endpoint_instance_type": '"ml.m5.large"',
    },
    "vertex": {"region": '"europe-west4"', "machine_type": '"n1-standard-4"'},
}


def onstage(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "onstage", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def written(**changed: dict[str, str]) -> str:
    """A settings.toml with what is required, and these lines of sections (`top`: above the first) changed or added."""
    changed = {
        {"top": "", "serverless": "sagemaker.serverless"}.get(name, name): keys for name, keys in changed.items()
    }
    lines = []
    for name in sorted({*NEEDED, *changed}):
        keys = {**NEEDED.get(name, {}), **changed.get(name, {})}
        lines += [*([f"[{name}]"] if name else []), *(f"{key} = {value}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def loaded(folder: Path, content: str) -> Settings:
    (folder / "settings.toml").write_text(content, encoding="utf-8")
    return load(Project(folder))


def test_the_page_in_docs_is_what_the_command_prints_outside_of_a_project(tmp_path: Path) -> None:
    done = onstage("settings", "--markdown", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), (
        "python -m onstage settings --markdown > docs/settings.md"
    )


@pytest.mark.parametrize("table", settings_page.tables(), ids=lambda table: table.name)
def test_every_key_and_every_section_has_a_sentence(table: settings_page.Table) -> None:
    for meaning in (table.meaning, *(key.meaning for key in table.keys)):
        assert re.fullmatch(r"\S.*[^.\s]\.", meaning), meaning
    for key in table.keys:
        assert not re.search(r"\.\s+[A-Z]", key.meaning), f"{key.name}: one sentence"


def test_every_key_of_the_models_is_on_the_page() -> None:
    shown = {(table.name, key.name) for table in settings_page.tables() for key in table.keys}
    for name, kind in {
        "": Settings, "data": Data, "batch": Batch, "sagemaker": SageMaker,
        "sagemaker.serverless": Serverless, "vertex": Vertex,
    }.items():  # fmt: skip
        sections = {"data", "rehearsal", "batch", "sagemaker", "vertex"} if name == "" else {"serverless"}
        assert {key for section, key in shown if section == name} == set(kind.model_fields) - sections


def test_the_printed_defaults_are_accepted_and_change_nothing(tmp_path: Path) -> None:
    printed = {
        table.name: {key.name: key.default for key in table.keys if key.default is not None}
        for table in settings_page.tables()
    }
    everything = loaded(
        tmp_path,
        written(
            **{"top" if not name else "serverless" if "." in name else name: keys for name, keys in printed.items()}
        ),
    )
    assert everything.sagemaker is not None
    assert everything.sagemaker.serverless == Serverless()
    least = loaded(tmp_path, written())
    assert everything.model_dump() | {"sagemaker": None} == least.model_dump() | {"sagemaker": None}
    assert everything.sagemaker.model_copy(update={"serverless": None}) == least.sagemaker


def test_required_keys_are_those_that_are_missed(tmp_path: Path) -> None:
    for table in settings_page.tables():
        required = {key.name for key in table.keys if key.default is None}
        assert required == set(NEEDED.get(table.name, {}))
        for key in required:
            content = re.sub(rf"(?m)^({re.escape(key)} = .*)$", r"#\1", written())
            with pytest.raises(StartError, match=rf"settings\.toml:[^#]*{key} is missing"):
                loaded(tmp_path, content)


def test_one_section_brings_what_lies_in_it(tmp_path: Path) -> None:
    done = onstage("settings", "sagemaker", folder=tmp_path)
    assert done.returncode == 0
    assert re.findall(r"(?m)^\[(.*)\]$", done.stdout) == ["sagemaker", "sagemaker.serverless"]
    assert re.findall(r"(?m)^\[(.*)\]$", onstage("settings", "sagemaker.serverless", folder=tmp_path).stdout) == [
        "sagemaker.serverless"
    ]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("vertx", "did you mean vertex?"),
        ("azure", "there are data, rehearsal, batch, sagemaker, sagemaker.serverless, vertex"),
        ("Vertex", "did you mean vertex?"),
    ],
)
def test_an_unknown_section_is_one_line(tmp_path: Path, section: str, said: str) -> None:
    done = onstage("settings", section, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: settings.toml has no section {section}; {said}\n"


def test_a_terminal_gets_lines_that_fit_and_a_log_gets_sentences() -> None:
    for width in (40, 80):
        assert max(map(len, settings_page.text(width=width).splitlines())) <= max(width, 72)
    assert max(map(len, settings_page.text(width=80).splitlines())) <= 80
    lines = settings_page.text().splitlines()
    for table in settings_page.tables():
        assert all(f"      {key.meaning}" in lines for key in table.keys)
    assert "  time_limit  integer, 1 or more; default 300" in lines
    assert '  input_mode  "File" or "FastFile"; default "File"' in lines
    assert "  memory_mb  integer, 1024 to 6144 in steps of 1024; default 2048" in lines
    assert "  region  string; required" in lines
    assert "\x1b" not in "".join(lines)


ACCEPTED_AND_REFUSED = {
    "a step of 1024": ({"serverless": {"memory_mb": "3072"}}, {"serverless": {"memory_mb": "3000"}},
                       "[sagemaker.serverless] memory_mb should be a multiple of 1024, not 3000"),
    "the largest disk": ({"vertex": {"boot_disk_gb": "64000"}}, {"vertex": {"boot_disk_gb": "64001"}},
                         "[vertex] boot_disk_gb should be less than or equal to 64000, not 64001"),
    "a positive time": ({"rehearsal": {"time_limit": "1"}}, {"rehearsal": {"time_limit": "0"}},
                        "[rehearsal] time_limit should be greater than or equal to 1, not 0"),
    "no host": ({"sagemaker": {"instance_count": "2"}}, {"sagemaker": {"instance_count": "0"}},
                "[sagemaker] instance_count should be greater than or equal to 1, not 0"),
    "no replica": ({"vertex": {"replica_count": "2"}}, {"vertex": {"replica_count": "0"}},
                   "[vertex] replica_count should be greater than or equal to 1, not 0"),
    "a number and no truth": ({"sagemaker": {"instance_count": "1"}}, {"sagemaker": {"instance_count": "true"}},
                              "[sagemaker] instance_count should be a valid integer, not True"),
    "a number and no text": ({"vertex": {"timeout": "60"}}, {"vertex": {"timeout": '"60"'}},
                             "[vertex] timeout should be a valid integer, not '60'"),
    "a choice": ({"sagemaker": {"input_mode": '"FastFile"'}}, {"sagemaker": {"input_mode": '"Pipe"'}},
                 "[sagemaker] input_mode should be 'File' or 'FastFile', not 'Pipe'"),
    "a scalar": ({"rehearsal": {"hyperparameters": "{ a = 1, b = true, c = 0.5, d = 'x' }"}},
                 {"rehearsal": {"hyperparameters": "{ a = [1] }"}},
                 "[rehearsal.hyperparameters] a should be a boolean, a number or a string, not [1]"),
    "a section": ({"serverless": {}}, {"sagemaker": {"serverless": "true"}},
                  "[sagemaker.serverless] is a section, not True"),
    "a name": ({"top": {"name": '"a_1"'}}, {"top": {"name": '"A-1"'}},
               "name should match pattern '^[a-z][a-z0-9_]*$', not 'A-1'"),
    "spot waits for the training": (
        {"sagemaker": {"spot_max_wait": "3600"}}, {"sagemaker": {"spot_max_wait": "3599"}},
        "[sagemaker]: spot_max_wait must be max_runtime (3600 seconds) or more"),
    "scaling out": (
        {"sagemaker": {"endpoint_instance_count": "2", "endpoint_max_instance_count": "2"}},
        {"sagemaker": {"endpoint_instance_count": "2", "endpoint_max_instance_count": "1"}},
        "[sagemaker]: endpoint_max_instance_count must be endpoint_instance_count (2) or more"),
    "either scaling or serverless": (
        {"sagemaker": {"endpoint_max_instance_count": "0"}, "serverless": {}},
        {"sagemaker": {"endpoint_max_instance_count": "1"}, "serverless": {}},
        "[sagemaker]: endpoint_max_instance_count is for instances: a serverless endpoint scales by itself"),
    "a VPC": (
        {"sagemaker": {"subnets": '["a"]', "security_groups": '["b"]'}}, {"sagemaker": {"subnets": '["a"]'}},
        "[sagemaker]: subnets and security_groups are given together, or neither"),
    "a GPU": (
        {"vertex": {"accelerator_type": '"NVIDIA_L4"', "accelerator_count": "1"}},
        {"vertex": {"accelerator_type": '"NVIDIA_L4"'}},
        "[vertex]: accelerator_type and accelerator_count are given together, or neither"),
    "an endpoint's GPU": (
        {"vertex": {"endpoint_accelerator_type": '"NVIDIA_L4"', "endpoint_accelerator_count": "1"}},
        {"vertex": {"endpoint_accelerator_count": "1"}},
        "[vertex]: endpoint_accelerator_type and endpoint_accelerator_count are given together, or neither"),
    "replicas": (
        {"vertex": {"min_replica_count": "2", "max_replica_count": "2"}}, {"vertex": {"min_replica_count": "2"}},
        "[vertex]: max_replica_count must be min_replica_count (2) or more"),
    "a key that a filter can hold": (
        {"batch": {"key": f"'{'k' * 40}'"}}, {"batch": {"key": f"'{'k' * 41}'"}},
        f"[batch] key should be a field of at most 40 characters, without quotes and \\, not '{'k' * 41}'"),
    "a key without quotes": (
        {"batch": {"key": "'row id'"}}, {"batch": {"key": '"it\'s"'}},
        "[batch] key should be a field of at most 40 characters, without quotes and \\, not \"it's\""),
    "a key of one's own": (
        {"batch": {"key": "'feature'"}}, {"batch": {"key": "'features'"}},
        "[batch] key should be another field than features and SageMakerOutput, which are SageMaker's, not 'features'"),
    "a known key": ({"sagemaker": {"tags": "{ regoin = 'x' }"}}, {"sagemaker": {"regoin": "'x'"}},
                    "[sagemaker] regoin is not known; did you mean region?"),
    "a known section": ({}, {"vortex": {}}, "[vortex] is not known; did you mean vertex?"),
    "a key unlike any": ({}, {"data": {"zzz": "1"}}, "[data] zzz is not known; known: train, eval"),
}  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "said"), ACCEPTED_AND_REFUSED.values(), ids=ACCEPTED_AND_REFUSED)
def test_a_mistake_is_named_and_its_neighbour_accepted(
    tmp_path: Path, good: dict[str, dict[str, str]], bad: dict[str, dict[str, str]], said: str
) -> None:
    loaded(tmp_path, written(**good))
    with pytest.raises(StartError) as refused:
        loaded(tmp_path, written(**bad))
    assert str(refused.value) == f"settings.toml: {said}"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(StartError) as refused:
        loaded(tmp_path, written(vertex={"timeout": "0"}, data={"tain": "'x'"}))
    assert str(refused.value).splitlines() == [
        "settings.toml:",
        "  [data] tain is not known; did you mean train?",
        "  [vertex] timeout should be greater than or equal to 1, not 0",
    ]


def test_a_file_as_a_windows_editor_saves_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(b"\xef\xbb\xbf" + written().replace("\n", "\r\n").encode())
    assert load(Project(tmp_path)).name == "iris"


@pytest.mark.parametrize(("content", "said"), [(b"x = [", "cannot be read"), (b"x = '\xff'", "cannot be read")])
def test_a_file_that_is_no_toml_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.toml").write_bytes(content)
    with pytest.raises(StartError, match=rf"^settings\.toml {said}: .*\Z"):
        load(Project(tmp_path))


def test_a_rehearsal_may_have_another_number_of_hosts(tmp_path: Path) -> None:
    settings = loaded(tmp_path, written(sagemaker={"instance_count": "3"}))
    assert (settings.hosts("sagemaker"), settings.hosts("vertex")) == (3, 1)
    other = settings.with_hosts({"sagemaker": 2, "vertex": 2})
    assert (other.hosts("sagemaker"), other.hosts("vertex")) == (2, 2)
    assert (other.name, other.project) == (settings.name, settings.project)


def test_a_cloud_without_its_section_is_named(tmp_path: Path) -> None:
    settings = loaded(tmp_path, written().partition("[vertex]")[0])
    assert settings.cloud(SageMaker).region == "eu-central-1"
    with pytest.raises(StartError, match=r"^settings\.toml has no section \[vertex\]$"):
        settings.cloud(Vertex)


NAMES = {
    ("sagemaker", "bucket"): (
        ["my-bucket", "my.bucket", ""],
        {"s3://my-bucket/x": "my-bucket", "My_Bucket": "my-bucket", "a": "my-bucket"},
    ),
    ("sagemaker", "role"): (
        ["arn:aws:iam::111122223333:role/service-role/a+b", "arn:aws-us-gov:iam::111122223333:role/x", ""],
        {"MyRole": "role/MyRole", "arn:aws:iam::1:user/x": "arn:aws:iam::111122223333:role/x"},
    ),
    ("vertex", "bucket"): (["my_bucket", "a.b-c", ""], {"gs://my_bucket": "my_bucket", "My Bucket": "my-bucket"}),
    ("vertex", "project"): (
        ["my-project-1", "example.com:project", "111122223333", ""],
        {"My Project": "my-project", "Proj": "proj"},
    ),
}


@pytest.mark.parametrize(("section", "key"), NAMES)
def test_a_name_that_no_cloud_takes_is_refused_with_one_that_it_does(section: str, key: str) -> None:
    right, wrong = NAMES[section, key]
    whole, needed = {
        "sagemaker": (SageMaker, {"region": "r", "instance_type": "i", "endpoint_instance_type": "e"}),
        "vertex": (Vertex, {"region": "r", "machine_type": "m"}),
    }[section]
    for value in right:
        assert getattr(whole(**needed, **{key: value}), key) == value
    for value, meant in wrong.items():
        with pytest.raises(ValidationError, match=rf"such as .*{re.escape(meant)} "):
            whole(**needed, **{key: value})


def test_a_request_has_the_size_that_the_endpoint_of_the_settings_takes(tmp_path: Path) -> None:
    usual = loaded(tmp_path, written())
    small = {"serverless": {"memory_mb": "2048", "max_concurrency": "1"}, "vertex": {"dedicated_endpoint": "false"}}
    other = loaded(tmp_path, written(**small))
    assert [one / 2**20 for one in map(sagemaker_payload.limit_of, (usual, other))] == [6, 4]
    assert [one / 2**20 for one in map(vertex_payload.limit_of, (usual, other))] == [10, 1.5]
