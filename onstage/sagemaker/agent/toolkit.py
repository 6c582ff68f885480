"""What `train` does in the TensorFlow training container, as packages sagemaker-training 5.1.1 and
sagemaker-tensorflow-training 20.4.1 do it on a CPU host: how a script is called, and what is said when it fails.

These are in the image of TensorFlow 2.21. The tests compare all of it with them, and say what 5.1.4 does otherwise.
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.sagemaker.agent.failures import ContainerError
from onstage.sagemaker.agent.layout import Host

_FRAMEWORK = "sagemaker_tensorflow_container.training:main"
# What the service, its SDK and its tuning say to the toolkit; the script does not see them as hyperparameters.
_FOR_TOOLKIT = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_s3_output",
    "default_user_module_name",
    "_tuning_objective_metric",
)
# What a shell leaves as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_LAUNCHERS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
)


@dataclass(frozen=True)
class Call:
    """How the script is called: its words without the interpreter, which `python` says, and its environment.

    `install` are the words for pip that come first, or none; `install_error` is what their failure is called.
    """

    command: list[str]
    python: bool
    environment: dict[str, str]
    install: list[str]
    install_error: str

    def words(self, python: str) -> list[str]:
        """The command as the toolkit shows it when it fails."""
        return [python, *self.command] if self.python else self.command

    def started(self, python: str, base: str) -> list[str]:
        """The command that does what the toolkit's does. Raises UserError for one that needs a shell on Windows.

        The toolkit joins the words for a shell and quotes none of them, which takes out empty ones, splits others and
        obeys some. Plain words come out as they are; the rest goes through the image's shell, bash in the role of sh.
        """
        if self.python:
            # In the container, `base` is /opt/ml and nothing to a shell.
            odd = [word for word in self.command if not _PLAIN.fullmatch(word.replace(base, "/opt/ml"))]
            words = [shlex.quote(python), *(word.replace(base, shlex.quote(base)) for word in self.command)]
        else:
            odd = words = self.command
        if not odd:
            return self.words(python)
        if os.name == "nt":
            raise UserError(f"{odd[0]!r} cannot be rehearsed on Windows: the toolkit lets a shell read it")
        return [shutil.which("bash") or "bash", "--posix", "-c", " ".join(words)]


def odd(words: Sequence[str]) -> list[str]:
    """Those that a shell may change on the way to a script."""
    return [word for word in words if not _PLAIN.fullmatch(word)]


def breaks(value: Any) -> bool:
    """Whether a value ends the command line that a shell reads: by a quote without its pair, or an operator."""
    word = _word(value)
    try:
        shlex.split(word)
    except ValueError as error:
        if "quotation" in str(error):
            return True
    return re.search(r"[;&|<>()`\n]", word) is not None


def source(host: Host) -> str | None:
    """Where the source archive is: an s3:// URI, a path in the container, or nowhere."""
    place = decoded(host.hyperparameters).get("sagemaker_submit_directory")
    return None if place is None else str(place)


def call(host: Host) -> Call:
    """What `train` runs once the source is in `host.code`. Raises ContainerError as it does, before any script runs,
    and UserError for a launcher (MPI, parameter servers...) that is not rehearsed."""
    told = decoded(host.hyperparameters)
    launcher = next((name for name in _LAUNCHERS if told.get(name)), None)
    if launcher:
        raise UserError(f"hyperparameter {launcher} cannot be rehearsed: the agent starts one process on each host")
    program = host.environment.get("SAGEMAKER_PROGRAM") or told.get("sagemaker_program")
    if not isinstance(program, str):
        raise ContainerError(f"Framework Error: \nhyperparameter sagemaker_program names no file: {program!r}")
    words = arguments(script_hyperparameters(host))
    environment = variables(host)
    if any("=" in name for name in environment):
        raise ContainerError("Framework Error: \nillegal environment variable name")
    requirements = ["-r", "requirements.txt"] if (host.code / "requirements.txt").exists() else []
    if program.endswith(".sh") or not (program.endswith(".py") or (host.code / "setup.py").exists()):
        _make_executable(program, host.code)
        line = f'"./{program} {" ".join(map(shlex.quote, words))}"'
        return Call(["/bin/sh", "-c", line], False, environment, [], "")
    if (host.code / "setup.py").exists():
        module = program.replace(".py", "")
        return Call(["-m", module, *words], True, environment, [".", *requirements], "InstallModuleError")
    return Call([program, *words], True, environment, requirements, "InstallRequirementsError")


def decoded(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Hyperparameters as values: what is JSON becomes what it says, the rest stays text."""
    return {name: _decode(value) for name, value in hyperparameters.items()}


def script_hyperparameters(host: Host) -> dict[str, Any]:
    """What the script gets: all but what is said to the toolkit; in a tuning job with a model_dir of the job's own."""
    told = decoded(host.hyperparameters)
    own = {k: v for k, v in told.items() if k not in _FOR_TOOLKIT and not k.startswith("sagemaker_")}
    if "_tuning_objective_metric" in told:
        place = told.get("model_dir")
        static = bool(place) and str(place).startswith(host.base.as_posix())
        own["model_dir"] = place if static else f"{place}/{host.job}/model"
    return own


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """The script's command line: sorted names, `-k` for a name of one letter, every value one word."""
    words = []
    for name in sorted(hyperparameters):
        words += [f"--{name}" if len(name) > 1 else f"-{name}" if name else "", _word(hyperparameters[name])]
    return words


def variables(host: Host) -> dict[str, str]:
    """The environment variables that the toolkit adds for the script: SM_* and a few others."""
    told = decoded(host.hyperparameters)
    own = script_hyperparameters(host)
    training = _training_environment(host, told, own)
    sm = {name: value for name, value in training.items() if name not in _ONLY_IN_TRAINING_ENV}
    sm |= {
        "hps": own,
        "framework_params": training["additional_framework_parameters"],
        "channels": sorted(host.channels),
        "training_env": training,
        "user_args": arguments(own),
    }
    sm |= {f"channel_{name}": path for name, path in training["channel_input_dirs"].items()}
    sm |= {f"hp_{name}": value for name, value in own.items()}
    where = str(told.get("sagemaker_region") or host.environment.get("AWS_DEFAULT_REGION", ""))
    return {
        "SAGEMAKER_TRAINING_MODULE": _FRAMEWORK,
        "SAGEMAKER_JOB_NAME": str(told.get("sagemaker_job_name", "")),
        "SAGEMAKER_REGION": where,
        "CURRENT_HOST": host.name,
        "S3_REGION": where,
        "S3_USE_HTTPS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
        # The toolkit gives its own sys.path; of that, only the code is not there anyway.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(host.code), host.environment.get("PYTHONPATH")])),
        **{f"SM_{name.upper()}": _text(value) for name, value in sm.items()},
    }


# Of the toolkit's own view of the job, these have no variable of their own.
_ONLY_IN_TRAINING_ENV = (
    "additional_framework_parameters",
    "channel_input_dirs",
    "distribution_hosts",
    "hyperparameters",
    "is_master",
    "is_modelparallel_enabled",
    "is_smddpmprun_installed",
    "is_smddprun_installed",
    "job_name",
    "master_hostname",
    "topology",
)


def _training_environment(host: Host, told: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    base, hosts = host.base.as_posix(), host.resource["hosts"]
    groups = {group["instance_group_name"]: group for group in host.resource["instance_groups"]}
    group = host.resource["current_group_name"]
    program = host.environment.get("SAGEMAKER_PROGRAM") or told.get("sagemaker_program")
    parallel = host.environment.get("SM_HP_MP_PARAMETERS")
    return {
        "additional_framework_parameters": {
            name: value for name, value in told.items() if name.startswith("sagemaker_") and name not in _FOR_TOOLKIT
        },
        "channel_input_dirs": {name: f"{base}/input/data/{name}" for name in host.channels},
        "current_host": host.name,
        "current_instance_group": group,
        "current_instance_group_hosts": groups[group]["hosts"],
        "current_instance_type": host.resource["current_instance_type"],
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": _FRAMEWORK,
        "hosts": hosts,
        "hyperparameters": own,
        "input_config_dir": f"{base}/input/config",
        "input_data_config": host.channels,
        "input_dir": f"{base}/input",
        "instance_groups": list(groups),
        "instance_groups_dict": groups,
        "is_hetero": False,
        "is_master": host.name == hosts[0],
        "is_modelparallel_enabled": parallel and parallel != "{}",
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": host.environment.get("TRAINING_JOB_NAME"),
        "log_level": told.get("sagemaker_container_log_level", 20),
        "master_hostname": hosts[0],
        "model_dir": f"{base}/model",
        "module_dir": str(told.get("sagemaker_submit_directory", f"{base}/code")),
        "module_name": re.sub(r"\.py$", "", str(program)),
        "network_interface_name": host.resource["network_interface_name"],
        "num_cpus": os.cpu_count(),
        "num_gpus": 0,
        "num_neurons": 0,
        "output_data_dir": f"{base}/output/data",
        "output_dir": f"{base}/output",
        "output_intermediate_dir": f"{base}/output/intermediate",
        "resource_config": host.resource,
        "topology": [],
        "user_entry_point": program,
    }


def _decode(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _make_executable(program: str, code: Path) -> None:
    script = code / program
    # The toolkit goes wherever the name leads; here that would be someone's own file.
    if not script.resolve().is_relative_to(code.resolve()):
        raise UserError(f"the entry point {program!r} cannot be rehearsed: it is outside of the source")
    try:
        script.chmod(0o777)
    except OSError as error:
        raise ContainerError(f"Framework Error: \n{error}", error.errno or 1) from error
