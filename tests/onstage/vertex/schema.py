"""Prints the messages of Vertex AI that the project uses, as onstage/vertex/requests/schema.json has them.

Runs with google-cloud-aiplatform installed: python tests/onstage/vertex/schema.py > schema.json. Names, types and
enumerations are the protos'; what is required, or set by the service alone, their documentation says.
"""

import inspect
import json
import re
from typing import Any

from google.cloud import aiplatform, aiplatform_v1

ROOTS = (
    "CustomJob", "HyperparameterTuningJob", "UploadModelRequest", "Endpoint", "DeployModelRequest",
    "BatchPredictionJob",
)  # fmt: skip
# Parts of these that the project neither writes nor checks.
NOT_FOLLOWED = {
    "ExplanationSpec", "ModelMonitoringConfig", "UnmanagedContainerModel", "GenAiAdvancedFeaturesConfig",
    "PredictRequestResponseLoggingConfig", "PrivateServiceConnectConfig", "PscInterfaceConfig", "Probe",
    "FasterDeploymentConfig", "ClientConnectionConfig", "SpeculativeDecodingSpec", "PrivateEndpoints",
}  # fmt: skip
# Parts of the URL, not of the body.
IN_THE_URL = {("UploadModelRequest", "parent"), ("DeployModelRequest", "endpoint")}
KINDS = {
    1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32",
}  # fmt: skip
ENUM, MESSAGE = 14, 11


def schema() -> dict[str, Any]:
    """The messages by name, each with its members by their JSON names; the enumerations, the numbers of their names."""
    messages: dict[str, Any] = {}
    enums: dict[str, dict[str, int]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in messages:
            continue
        messages[name] = {}
        kind = aiplatform_v1.types
        for part in name.split("."):
            kind = getattr(kind, part)
        documented = _documented(kind)
        for field in kind.pb(kind()).DESCRIPTOR.fields:
            said = documented.get(field.name, "")
            if said.startswith("Output only") or (name, field.name) in IN_THE_URL:
                continue
            member = _member(field, enums, waiting)
            if re.match(r"(Immutable\. )?Required\.", said):
                member["required"] = True
            messages[name][field.json_name] = member
    return {
        "source": f"the protos of google-cloud-aiplatform {aiplatform.__version__}, by tests/onstage/vertex/schema.py",
        "messages": dict(sorted(messages.items())),
        "enums": dict(sorted(enums.items())),
    }


def text() -> str:
    """The schema as JSON with one member a line."""
    found = schema()
    lines = [f' "source": {json.dumps(found["source"])},', ' "messages": {']
    blocks = []
    for name, members in found["messages"].items():
        inside = ",\n".join(f"   {json.dumps(member)}: {json.dumps(value)}" for member, value in members.items())
        blocks.append(f"  {json.dumps(name)}: {{\n{inside}\n  }}")
    lines.append(",\n".join(blocks) + "\n },")
    lines.append(' "enums": {')
    lines.append(",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found["enums"].items()))
    return "{\n" + "\n".join(lines) + "\n }\n}\n"


def _member(field: Any, enums: dict[str, dict[str, int]], waiting: list[str]) -> dict[str, Any]:
    repeated = field.is_repeated() if callable(getattr(field, "is_repeated", None)) else field.is_repeated
    mapped = field.message_type is not None and field.message_type.GetOptions().map_entry
    value = field.message_type.fields_by_name["value"] if mapped else field
    member: dict[str, Any] = {"type": _kind(value, enums, waiting)}
    if mapped or repeated:
        member["many"] = "map" if mapped else "list"
    if field.containing_oneof is not None and not field.containing_oneof.name.startswith("_"):
        member["oneof"] = field.containing_oneof.name
    return member


def _kind(field: Any, enums: dict[str, dict[str, int]], waiting: list[str]) -> str:
    if field.type == ENUM:
        name = _short(field.enum_type.full_name)
        enums[name] = {value.name: value.number for value in field.enum_type.values if value.number}
        return name
    if field.type != MESSAGE:
        return KINDS[field.type]
    name = _short(field.message_type.full_name)
    ours = field.message_type.full_name.startswith("google.cloud.aiplatform.v1.")
    if ours and name not in NOT_FOLLOWED:
        waiting.append(name)
    return name


def _short(name: str) -> str:
    return name.removeprefix("google.cloud.aiplatform.v1.").removeprefix("google.protobuf.")


def _documented(kind: Any) -> dict[str, str]:
    """What the attributes of a message are said to be."""
    entries = re.split(r"^    (\w+) \(.*\):$", inspect.getdoc(kind) or "", flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in zip(entries[1::2], entries[2::2], strict=True)}


if __name__ == "__main__":
    print(text(), end="")
