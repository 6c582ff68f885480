"""Jobs that bring their own command, as those of the SageMaker SDK's ModelTrainer: its drivers in a channel.

The command and the drivers name /opt/ml themselves. The host's own copies of both are rewritten; user code is not.
"""

import re
from collections.abc import Mapping
from typing import Any

from onstage.errors import UserError
from onstage.sagemaker.agent.layout import Host, member, relocate

_DRIVERS = "sm_drivers"


def command(body: Mapping[str, Any], host: Host) -> list[str] | None:
    """The container's command, relocated, and with it the drivers; None for a job that leaves it to the image.

    Raises UserError for arguments without an entry point, and for a folder that shell scripts cannot name.
    """
    entry_point = member(body, "AlgorithmSpecification.ContainerEntrypoint", [])
    given = member(body, "AlgorithmSpecification.ContainerArguments", [])
    if not entry_point:
        if given:
            raise UserError("ContainerArguments without ContainerEntrypoint cannot be rehearsed: the image has its own")
        return None
    if not re.fullmatch(r"[\w./:\\-]+", str(host.root)):
        raise UserError(f"{host.root} cannot stand for / in shell scripts: choose a folder without spaces and quotes")
    for file in sorted((host.base / "input" / "data" / _DRIVERS).rglob("*")):
        if file.suffix in (".py", ".sh", ".json"):
            content = relocate(file.read_text(encoding="utf-8"), host.root)
            if file.is_symlink():
                file.unlink()
            file.write_text(content, encoding="utf-8")
    return [relocate(word, host.root) for word in (*entry_point, *given)]
