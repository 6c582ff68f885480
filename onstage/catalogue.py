"""Every check of a rehearsal by its stable id, `PLATFORM.NAME`, with the sentence that `rehearse --list` prints.

What no platform has a part in is `project.NAME`; what compares two platforms is `both.NAME`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

from onstage.errors import StartError

_PROJECT = {
    "settings": "settings.toml has keys that are known, with values of their types",
    "files": "no secret and no large file lies in what travels",
    "calls": "no call in the code waits for a keyboard, a screen or a debugger, or (a warning) is os._exit",
    "paths": "no text in the code is a path of this machine",
    "environment": "no variable of this shell that the code reads is missing in the job",
    "model": "model.py can be read: its columns, hyperparameters and objective",
    "objective": "OBJECTIVE is a metric that compile() names, and is looked at in its own direction",
    "hyperparameters": "the flags and [rehearsal] hyperparameters are known, with values of their types",
    "data": "every file's first rows, and all in 3 s, fit model.py's columns (warnings: files left out, odd rows)",
    "secrets": "no text in what travels looks like a key or a password (warnings only)",
}
_FIRST = {
    "images": "the images exist in the region, are there today and still get security patches",
    "code": "the code has the syntax of the image's Python, and no undefined name",
    "names": "no file is imported in place of a library, or obeyed as a setup.py",
    "requirements": "the requirements replace nothing that the image was built around",
    "imports": "every imported module is in the image, required, or travels along",
    "resolution": "what the requirements drag in leaves the image's own packages as they are, and needs no compiler",
}
_PACKAGE = {
    "modules": "every folder and file of the package can be installed and imported",
    "package-imports": "no import reaches beside or above the package",
    "gcs": "gs:// locations are used with what can read them",
}
# Of a request from elsewhere, which `onstage body` rehearses.
_ELSEWHERE = {
    "entry": "the script or module that the request starts travels along",
    "flags": "the script's argparse takes the flags of the request, and no shell breaks them on the way",
    "environment": "the variables that the code cannot do without are set in the job",
}
_SENT = {
    "request": "the cloud's own model of a request, and its rules, take the job, the model and the endpoint",
}
# Of a tuning job that is sent.
_SEARCHED = {
    "search": "the tuning service searches model.py's ranges as they are meant (warnings: what it cannot express)"
}
_BUILT = {"package": "the source distribution builds, installs in an empty place, and leaves nothing out"}
_JOB = {
    "train": "the job ends well, run as the cloud runs it",
    "metrics": "the metrics of the request are found in the log, with the values that the trainer reported",
    "model": "the job left a model where the cloud collects it, in the layout that will be served",
}
_ENDPOINT = {
    "operations": "the server's version of TensorFlow has every operation and attribute that the model uses",
    "load": "TensorFlow's C++ loader takes the model",
    "predictions": "the endpoint answers every form of a request, as the trainer's own model does",
    "refusals": "the endpoint refuses wrong requests with a message",
}
_HOME = {"network": "build_model makes the same network in the job as in the project's folder"}
# Of a project's job, where no other platform has one.
_ALONE = {"seed": "a second training with the same seed begins as the first (with both platforms: both.weights)"}
# Of a project, whose trainer can be asked.
_REPLAYED = {
    "replay": "the objective of the endpoint's answers to rows of the evaluation data is that of the checkpoint",
    "probes": "rows that the data does not have are answered with numbers (warnings: values beyond the data's)",
}
# Only with `onstage rehearse --tune`.
_TRIALS = {
    "tuning": "with --tune: trials of the tuning job at the ends and the middle of every range end well, each with the "
    "objective and a model of its own"
}
# Only of a job of several hosts, such as one of `onstage rehearse --workers 2`.
_WORKERS = {
    "workers": "the chief of several hosts alone writes, all end with the weights of one host, and a lost host ends "
    "the job with a message that names it"
}
# Only with `onstage rehearse --kill`.
_KILLS = {
    "kill": "with --kill: a job that is killed in the middle of an epoch and started again ends with the weights of "
    "the undisturbed one"
}
# Only with `onstage rehearse --batch`.
_BATCHED = {
    "batch": "with --batch: the batch job answers every row as the endpoint does, told by [batch] key (of the file in "
    "[batch] rows: no row is one that costs it others)"
}
# Only with `onstage rehearse --serving-version`.
_OTHER_VERSION = {
    "serving-version": "with --serving-version: that version of TensorFlow loads the model, and answers as the one here"
}
_NAMES = {
    "project": _PROJECT,
    "sagemaker": {
        **_FIRST,
        **_ELSEWHERE,
        **_SENT,
        **_SEARCHED,
        **_JOB,
        **_HOME,
        "archive": "model.tar.gz holds the model only: no checkpoint, no path of this machine, no Python code",
        **_ENDPOINT,
        **_ALONE,
        **_REPLAYED,
        **_TRIALS,
        **_WORKERS,
        **_KILLS,
        **_BATCHED,
        **_OTHER_VERSION,
        "ping": "the endpoint's health check passes",
    },
    "vertex": {
        **_FIRST,
        **_PACKAGE,
        **_ELSEWHERE,
        **_SENT,
        **_SEARCHED,
        **_BUILT,
        **_JOB,
        **_HOME,
        "artifact": "AIP_MODEL_DIR holds the model only: no checkpoint, no path of this machine, no Python code",
        **_ENDPOINT,
        **_ALONE,
        **_REPLAYED,
        **_TRIALS,
        **_WORKERS,
        **_KILLS,
        **_BATCHED,
        **_OTHER_VERSION,
        "health": "the endpoint's health check passes",
        "limits": "a request is smaller than what the endpoint takes",
    },
    "both": {
        "weights": "both platforms' jobs made the same weights",
        "answers": "both platforms' endpoints give the same answers",
    },
}
CHECKS = {f"{place}.{name}": sentence for place, names in _NAMES.items() for name, sentence in names.items()}

# SageMaker's flags can be wrong in a project, too: a shell reads them.
_ONLY_OF_BODY = frozenset(f"{place}.{name}" for place in ("sagemaker", "vertex") for name in _ELSEWHERE) - {
    "sagemaker.flags"
}
_ONLY_ALONE = frozenset(f"{place}.{name}" for place in ("sagemaker", "vertex") for name in _ALONE)
# What only an option of `onstage rehearse` asks for; the last check of each runs something.
_OPTIONS = {
    "tune": (*_SEARCHED, *_TRIALS),
    "workers": (*_WORKERS,),
    "kill": (*_KILLS,),
    "batch": (*_BATCHED,),
    "serving_version": (*_OTHER_VERSION,),
}
_OPTIONAL = {
    option: frozenset(f"{place}.{name}" for place in ("sagemaker", "vertex") for name in names)
    for option, names in _OPTIONS.items()
}
_ALL_OPTIONAL = frozenset().union(*_OPTIONAL.values())
_NOT_OF_BODY = (
    _ONLY_ALONE
    | _ALL_OPTIONAL
    | frozenset(f"{place}.{name}" for place in ("sagemaker", "vertex") for name in (*_HOME, *_REPLAYED))
)
SETTINGS, PAGE = "project.settings", ("project.model", "project.hyperparameters")
# What others need of a check, by names of the same platform.
_NEEDS = {
    **dict.fromkeys(("code", "names", "requirements", "imports", "resolution", "request"), ("images",)),
    "package": ("request",),
    "search": ("request",),
    "train": ("request", "package"),
    "metrics": ("train",),
    "model": ("train",),
    "network": ("train",),
    "tuning": ("train", "search"),
    "workers": ("train",),
    "archive": ("model",),
    "artifact": ("model",),
    "operations": ("model",),
    "load": ("model",),
    **dict.fromkeys(("ping", "health", "limits", "predictions", "refusals", "seed", *_REPLAYED), ("load",)),
    **dict.fromkeys((*_KILLS, *_BATCHED, *_OTHER_VERSION), ("load",)),
}
_NEED_THE_PAGE = ("request", "data", "hyperparameters", "objective", "secrets", "resolution")
# Without what these make, nothing that follows can be done.
ESSENTIAL = frozenset(
    {
        SETTINGS,
        *PAGE,
        *(f"{platform}.{name}" for platform in ("sagemaker", "vertex") for name in ("train", "model", "load")),
    }
)


def selected(words: Iterable[str], *, of_project: bool = False) -> frozenset[str]:
    """The checks that these ids, or places such as "vertex", name, and those that they need; none for no word.

    `of_project`: the request is made of a project, and what is looked for in it needs that. Raises StartError for a
    word that names none.
    """
    wanted = {one for word in words for one in _named(word)}
    wanted |= {"sagemaker.request"} if of_project and "sagemaker.flags" in wanted else set()
    return frozenset(one for each in wanted for one in {SETTINGS, *_needed(each)}) if wanted else frozenset()


def of_rehearsal(platforms: Iterable[str], asked: Collection[str] = ()) -> list[str]:
    """What `onstage rehearse` does for these platforms when nothing fails; of what only options ask for, `asked`."""
    places = {"project", *platforms}
    left_out = _ONLY_OF_BODY | (_ALL_OPTIONAL - {*asked})
    if len(places) > 2:
        places.add("both")
        left_out |= _ONLY_ALONE
    return [one for one in CHECKS if one.split(".")[0] in places and one not in left_out]


def of_body(platform: str) -> list[str]:
    """What `onstage body` does for a request of this platform."""
    return [one for one in CHECKS if one.split(".")[0] in ("project", platform) and one not in _NOT_OF_BODY]


def requested(
    select: Sequence[str], platforms: Sequence[str], options: Mapping[str, bool | None]
) -> tuple[list[str], frozenset[str]]:
    """What is selected, and the ids that only an option asks for: who gives an option selects its check, and the other
    way round. An option that is None asks for nothing, whatever is selected.
    """
    chosen, asked = list(select), set[str]()
    for option, is_given in options.items():
        last = _OPTIONS[option][-1]
        if is_given and select and not any(one.endswith(f".{last}") for one in select):
            chosen += [f"{one}.{last}" for one in platforms]
        if is_given or (is_given is not None and _OPTIONAL[option] & {*select}):
            asked |= {one for one in _OPTIONAL[option] if one.split(".")[0] in platforms}
    return chosen, frozenset(asked)


def check_selected(words: Iterable[str], done: Collection[str]) -> None:
    """Raise StartError for an id or a place of which nothing is among what a command has `done` at its end."""
    for word in words:
        if not set(_named(word)) & set(done):
            raise StartError(f"--select {word}: that is not checked here; see onstage rehearse --list")


def check_ignored(ids: Iterable[str]) -> None:
    """Raise StartError for an id that is not known, or that others cannot do without."""
    for one in ids:
        if one in _NAMES:
            raise StartError(f"{one} has {len(_NAMES[one])} checks: name one of them, such as {_named(one)[-1]}")
        if one not in CHECKS:
            raise StartError(_unknown(one))
        if one in ESSENTIAL:
            raise StartError(f"the check {one} cannot be ignored: others need what it makes")


def _named(word: str) -> list[str]:
    found = [word] if word in CHECKS else [one for one in CHECKS if one.startswith(f"{word}.")]
    if not found:
        raise StartError(_unknown(word))
    return found


def _needed(one: str) -> set[str]:
    place, name = one.split(".")
    if place == "both":
        return {one} | _needed("sagemaker.load") | _needed("vertex.load")
    below = {f"{place}.{other}" for other in _NEEDS.get(name, ()) if f"{place}.{other}" in CHECKS}
    if name in _NEED_THE_PAGE:
        below |= set(PAGE)
    return {one} | {found for other in below for found in ({other} if other in PAGE else _needed(other))}


def _unknown(word: str) -> str:
    near = get_close_matches(word, [*CHECKS, *_NAMES], n=1)
    return f"there is no check {word}; " + (f"did you mean {near[0]}?" if near else "see onstage rehearse --list")
