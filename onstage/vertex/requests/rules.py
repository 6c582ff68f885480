"""What Vertex AI refuses, or takes amiss, and its schema does not say.

Each rule is in the REST reference of the message, where no other source is named:
https://cloud.google.com/vertex-ai/docs/reference/rest
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from onstage.problem import Path, Problem, dotted, twice
from onstage.vertex.requests import search_rules
from onstage.vertex.requests.images import Image, availability_problem, known_image, machine_problem
from onstage.vertex.requests.names import unfit
from onstage.vertex.requests.regions import foreign

Body = dict[str, Any]
MOST_VARIABLES = 100
MOST_ARGUMENT_CHARACTERS = 100_000


def broken(kind: str, body: Body, region: str, today: date) -> list[Problem]:
    """The problems of a body whose members all have the right type; `region` is the request's."""
    found = [one for rule in RULES[kind] for one in rule(body, today)]
    return [*found, *unfit(body), *foreign(kind, body, region)]


def endpoint_problems(upload: Body, deploy: Body) -> list[Problem]:
    """What does not fit between the UploadModelRequest and the DeployModelRequest of an endpoint."""
    container = (upload.get("model") or {}).get("containerSpec") or {}
    resources = (deploy.get("deployedModel") or {}).get("dedicatedResources") or {}
    image, machine = known_image(container.get("imageUri", "")), resources.get("machineSpec") or {}
    if image is None:
        return []
    return list(_hardware(image, machine, ("model", "containerSpec", "imageUri")))


def _custom_job(body: Body, today: date) -> Iterator[Problem]:
    yield from _job_spec(body.get("jobSpec") or {}, ("jobSpec",), today)


def _job_spec(spec: Body, path: Path, today: date) -> Iterator[Problem]:
    pools = spec.get("workerPoolSpecs") or ()
    for number, pool in enumerate(pools):
        where = (*path, "workerPoolSpecs", number)
        # An empty pool keeps the place of one that a job does without.
        if pool or number == 0:
            yield from _pool(pool, where, today)
    if pools and int(pools[0].get("replicaCount", 1)) != 1:
        count = dotted((*path, "workerPoolSpecs", 0, "replicaCount"))
        message = f"is {pools[0]['replicaCount']}; the first pool is the chief, which is one"
        yield Problem(count, message, "write 1, and the others in a second pool")
    if len(pools) > 4:
        message = f"has {len(pools)} pools; there are four: chief, workers, parameter servers, evaluator"
        yield Problem(dotted((*path, "workerPoolSpecs")), message, "remove some")
    timeout = (spec.get("scheduling") or {}).get("timeout", "1s")
    if not float(timeout.rstrip("s") or 0):
        yield Problem(dotted((*path, "scheduling", "timeout")), "is 0", 'write it as "3600s"')


def _pool(pool: Body, path: Path, today: date) -> Iterator[Problem]:
    container, package = pool.get("containerSpec"), pool.get("pythonPackageSpec")
    if container is None and package is None:
        yield Problem(dotted(path), "needs either containerSpec or pythonPackageSpec", "give one of them")
    machine = pool.get("machineSpec") or {}
    if not machine.get("machineType"):
        yield Problem(dotted((*path, "machineSpec", "machineType")), "is missing", "write n1-standard-4")
    yield from _machine(machine, (*path, "machineSpec"))
    if container:
        where = (*path, "containerSpec")
        yield from _image(container.get("imageUri", ""), "training", machine, (*where, "imageUri"), today)
        yield from _arguments(container, where)
        text = " ".join([*container.get("command", ()), *container.get("args", ())])
        for module in re.findall(r"\bpython[0-9.]* -m ([\w.-]+)", text):
            yield from _module(module, (*where, "args"))
    if package:
        yield from _python_package(package, machine, (*path, "pythonPackageSpec"), today)


def _python_package(package: Body, machine: Body, path: Path, today: date) -> Iterator[Problem]:
    image = package.get("executorImageUri", "")
    where = (*path, "executorImageUri")
    if not re.match(r"(us|europe|asia)-docker\.pkg\.dev/vertex-ai/training/", image):
        message = f"{image!r} is none of Google's prebuilt training images, which alone run a package"
        yield Problem(dotted(where), message, 'write package = "container" in [vertex] of settings.toml')
    yield from _image(image, "training", machine, where, today)
    yield from _arguments(package, path)
    yield from _module(package.get("pythonModule", ""), (*path, "pythonModule"))
    uris = package.get("packageUris") or ()
    if len(uris) > 100:
        yield Problem(dotted((*path, "packageUris")), f"has {len(uris)} items; 100 are allowed")
    for number, uri in enumerate(uris):
        if not re.fullmatch(r"gs://.+\.(tar\.gz|zip|whl)", uri):
            message = f"{uri!r} is no source distribution in Cloud Storage"
            yield Problem(dotted((*path, "packageUris", number)), message, "give a gs:// URI that ends in .tar.gz")


def _module(module: str, path: Path) -> Iterator[Problem]:
    wrong = [part for part in module.split(".") if module and not part.isidentifier()]
    if wrong:
        message = f"{module!r} is no module that Python can import: {', '.join(map(repr, wrong))}"
        yield Problem(
            dotted(path),
            message,
            f"rename the folder, and write {re.sub(r'[^0-9A-Za-z_.]', '_', module)}",
            f"No module named {module}",
        )


def _arguments(task: Body, path: Path) -> Iterator[Problem]:
    size = sum(len(argument) for argument in task.get("args") or ())
    if size > MOST_ARGUMENT_CHARACTERS:
        message = f"has {size} characters; {MOST_ARGUMENT_CHARACTERS} are allowed"
        yield Problem(dotted((*path, "args")), message, "put long values in a file")
    variables = task.get("env") or ()
    if len(variables) > MOST_VARIABLES:
        message = f"has {len(variables)} variables; {MOST_VARIABLES} are allowed"
        yield Problem(dotted((*path, "env")), message, "remove some")
    yield from twice([one.get("name") for one in variables], (*path, "env"), "variable")
    for number, one in enumerate(variables):
        # Source: EnvVar, name: a valid C identifier.
        if not re.fullmatch(r"[A-Za-z_]\w*", one.get("name", "A"), re.ASCII):
            yield Problem(dotted((*path, "env", number, "name")), f"{one['name']!r} cannot be the name of a variable")


def _machine(machine: Body, path: Path) -> Iterator[Problem]:
    kind, count = machine.get("acceleratorType", ""), machine.get("acceleratorCount", 0)
    if bool(kind) != bool(count):
        missing = "acceleratorCount" if kind else "acceleratorType"
        yield Problem(dotted((*path, missing)), "is missing: type and count belong together", f"add {missing}")
        return
    found = machine_problem(machine["machineType"], kind, count) if machine.get("machineType") else None
    if found:
        yield Problem(dotted((*path, "machineType")), *found)


def _image(uri: str, role: str, machine: Body | None, path: Path, today: date) -> Iterator[Problem]:
    """Whether a known image is for this, still available, and for the machine, if that is known; others pass."""
    image = known_image(uri)
    if image is None:
        return
    if image.role != role:
        yield Problem(dotted(path), f"{uri} is a {image.role} image, not one for {role}", f"choose a {role} image")
        return
    gone = availability_problem(uri, today)
    if gone:
        message, _, fix = gone.partition("; ")
        yield Problem(dotted(path), message, fix, f"the image {uri} does not exist, or cannot be pulled")
    if machine is not None:
        yield from _hardware(image, machine, path)


def _hardware(image: Image, machine: Body, path: Path) -> Iterator[Problem]:
    accelerator = "gpu" if machine.get("acceleratorCount") else "cpu"
    if image.accelerator != accelerator:
        has = {"gpu": "has a GPU", "cpu": "has no GPU"}[accelerator]
        message = f"the machine {has}, and this is TensorFlow's image for {image.accelerator.upper()}"
        yield Problem(dotted(path), message, f"choose the {accelerator.upper()} image, or another machine")


def _tuning_job(body: Body, today: date) -> Iterator[Problem]:
    yield from _job_spec(body.get("trialJobSpec") or {}, ("trialJobSpec",), today)
    most, parallel = body.get("maxTrialCount", 1), body.get("parallelTrialCount", 1)
    for name, count in (("maxTrialCount", most), ("parallelTrialCount", parallel)):
        if count < 1:
            yield Problem(name, f"is {count}; it must be 1 or more", "write 1 or more")
    if parallel > most >= 1:
        yield Problem("parallelTrialCount", f"is {parallel}, more than maxTrialCount ({most})", f"write {most} or less")
    yield from search_rules.study(body.get("studySpec") or {})


def _upload_model(body: Body, today: date) -> Iterator[Problem]:
    model = body.get("model") or {}
    path: Path = ("model", "containerSpec")
    container = model.get("containerSpec")
    if container is None:
        yield Problem(dotted(path), "is missing", "add containerSpec")
        return
    yield from _image(container.get("imageUri", ""), "serving", None, (*path, "imageUri"), today)
    yield from _arguments(container, path)
    for route in ("predictRoute", "healthRoute"):
        if not container.get(route, "/").startswith("/"):
            yield Problem(
                dotted((*path, route)), f"{container[route]!r} must begin with /", f"write /{container[route]}"
            )
    for number, port in enumerate(container.get("ports") or ()):
        if not 1 <= port.get("containerPort", 8080) <= 65535:
            yield Problem(dotted((*path, "ports", number, "containerPort")), "must be from 1 to 65535", "write 8080")


def _endpoint(body: Body, today: date) -> Iterator[Problem]:
    if body.get("network") and body.get("dedicatedEndpointEnabled"):
        fix = "remove network, or dedicated_endpoint"
        yield Problem("network", "an endpoint in a network cannot be a dedicated one", fix)


def _deploy_model(body: Body, today: date) -> Iterator[Problem]:
    deployed = body.get("deployedModel") or {}
    path: Path = ("deployedModel", "dedicatedResources")
    resources = deployed.get("dedicatedResources") or {}
    yield from _machine(resources.get("machineSpec") or {}, (*path, "machineSpec"))
    low, high = resources.get("minReplicaCount", 1), resources.get("maxReplicaCount")
    if low < 1:
        yield Problem(dotted((*path, "minReplicaCount")), f"is {low}; it must be 1 or more", "write 1")
    if high is not None and high < low:
        yield Problem(
            dotted((*path, "maxReplicaCount")), f"is {high}, less than minReplicaCount ({low})", f"write {low}"
        )
    split = body.get("trafficSplit") or {}
    if split and sum(split.values()) != 100:
        yield Problem("trafficSplit", f"adds up to {sum(split.values())}; it must be 100", "correct the percentages")


def _batch_prediction_job(body: Body, today: date) -> Iterator[Problem]:
    resources = body.get("dedicatedResources") or {}
    yield from _machine(resources.get("machineSpec") or {}, ("dedicatedResources", "machineSpec"))
    formats = ("jsonl", "csv", "bigquery", "tf-record", "tf-record-gzip", "file-list", "vertex-dataset")
    given = (body.get("inputConfig") or {}).get("instancesFormat", "jsonl")
    if given not in formats:
        yield Problem("inputConfig.instancesFormat", f"{given!r} does not exist", f"choose from {', '.join(formats)}")


RULES: dict[str, tuple[Callable[[Body, date], Iterator[Problem]], ...]] = {
    "CustomJob": (_custom_job,),
    "HyperparameterTuningJob": (_tuning_job,),
    "UploadModelRequest": (_upload_model,),
    "Endpoint": (_endpoint,),
    "DeployModelRequest": (_deploy_model,),
    "BatchPredictionJob": (_batch_prediction_job,),
}
