"""`onstage` from Python, for notebooks and scripts: the commands as functions, and what comes of them as objects.

Each call is the command, in a process of its own: a changed model.py counts at once, and nothing of a project is left
in this one. What the command prints is printed here as it comes.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage import flags, outcome
from onstage.returned import CallError, Outcome, Rehearsal, Trials

# Seconds in which a command that was interrupted may clear up.
_PATIENCE = 60.0
# The line of an epoch, in the log of either cloud.
_EPOCH, _METRIC = re.compile(r"\bepoch=\d+( \S+=\S+)+"), re.compile(r"(\S+)=(\S+)")


class Cloud:
    """The commands of one platform: `onstage.sagemaker` and `onstage.vertex` have its methods as functions.

    `folder`: a project's, or one in it; otherwise the working directory. Hyperparameters are named as in model.py.
    Each raises CallError where the command fails.
    """

    def __init__(self, platform: str) -> None:
        self._platform = platform

    def setup(
        self,
        *,
        create: bool = False,
        write: str | Path = "",
        dry_run: bool = False,
        folder: str | Path | None = None,
    ) -> None:
        """Print what is missing in the account; make it with `create`, or `write` what makes it into a folder."""
        self._call("setup", *_option(create=create, write=write, dry_run=dry_run), folder=folder)

    def upload(
        self,
        *,
        create_bucket: bool = False,
        delete: bool = False,
        dry_run: bool = False,
        folder: str | Path | None = None,
    ) -> None:
        """Send the data to the bucket: what is not there yet. Costs storage. `delete` removes what only the bucket has
        of the data, without a question.
        """
        options = _option(create_bucket=create_bucket, delete=delete, yes=delete, dry_run=dry_run)
        self._call("upload", *options, folder=folder)

    def train(
        self, *, wait: bool = True, dry_run: bool = False, folder: str | Path | None = None, **hyperparameters: Any
    ) -> Outcome:
        """Train in the cloud, which costs: the job with `name`, `state`, `metrics` and `model`, or with `dry_run` its
        `requests`.
        """
        options = _option(no_wait=not wait, dry_run=dry_run)
        return self._job("train", *options, *_flags(hyperparameters), folder=folder)

    def tune(
        self,
        *,
        trials: int | None = None,
        parallel: int = 2,
        strategy: str = "",
        early_stopping: str = "",
        wait: bool = True,
        dry_run: bool = False,
        folder: str | Path | None = None,
        **hyperparameters: Any,
    ) -> Outcome:
        """Search in the cloud, which costs as many trainings: the job as of `train`."""
        options = _option(
            trials=trials, parallel=parallel, strategy=strategy, early_stopping=early_stopping, no_wait=not wait,
            dry_run=dry_run,
        )  # fmt: skip
        return self._job("tune", *options, *_flags(hyperparameters), folder=folder)

    def status(self, name: str = "", *, folder: str | Path | None = None) -> Outcome:
        """A job or an endpoint; without a name the last job, and `running`, what costs money now."""
        return self._job("status", *_words(name), folder=folder)

    def logs(self, name: str = "", *, folder: str | Path | None = None) -> list[str]:
        """The lines of a job's log so far; printed, too."""
        return self._call("logs", *_words(name), folder=folder)[0]

    def history(self, name: str = "", *, folder: str | Path | None = None) -> list[dict[str, float]]:
        """The metrics of each epoch that a job's log has so far, with its `epoch`: for a data frame, and to draw."""
        lines = self._call("logs", *_words(name), folder=folder, silent=True)[0]
        found = (_EPOCH.search(line) for line in lines)
        return [{key: float(value) for key, value in _METRIC.findall(one[0])} for one in found if one]

    def stop(self, name: str = "", *, dry_run: bool = False, folder: str | Path | None = None) -> None:
        """End a job."""
        self._call("stop", *_words(name), *_option(dry_run=dry_run), folder=folder)

    def deploy(
        self, job: str = "", *, endpoint: str = "", dry_run: bool = False, folder: str | Path | None = None
    ) -> Outcome:
        """Serve the model of a job: the endpoint with its `name`. Costs until `delete`."""
        return self._job("deploy", *_words(job), *_option(endpoint=endpoint, dry_run=dry_run), folder=folder)

    def predict(self, instances: Sequence[Any], *, endpoint: str = "", folder: str | Path | None = None) -> list[Any]:
        """The predictions of an endpoint for these rows."""
        request = json.dumps({"instances": list(instances)})
        found = self._call("predict", "-", *_option(endpoint=endpoint), folder=folder, text=request, silent=True)[1]
        predictions: list[Any] = found["answer"]["predictions"]
        return predictions

    def batch(
        self,
        source: str | Path = "",
        *,
        job: str = "",
        wait: bool = True,
        dry_run: bool = False,
        folder: str | Path | None = None,
    ) -> Outcome:
        """Predict a file of JSON lines, or the [batch] rows of settings.toml, without an endpoint, which costs: the
        job, and `answers`, where they are, if it was waited for; or with `dry_run` its `requests`.
        """
        options = _option(job=job, no_wait=not wait, dry_run=dry_run)
        return self._job("batch", *_words(str(source)), *options, folder=folder)

    def delete(self, endpoint: str = "", *, dry_run: bool = False, folder: str | Path | None = None) -> None:
        """Remove an endpoint with all that was made for it."""
        self._call("delete", *_words(endpoint), *_option(dry_run=dry_run), folder=folder)

    def best(self, *, folder: str | Path | None = None) -> Trials:
        """The trials of the last search in this cloud."""
        return Trials(call(["best", self._platform], folder)[1])

    def _job(self, *words: str, folder: str | Path | None) -> Outcome:
        return Outcome(self._call(*words, folder=folder)[1])

    def _call(
        self, *words: str, folder: str | Path | None, text: str = "", silent: bool = False
    ) -> tuple[list[str], dict[str, Any]]:
        return call([self._platform, *words], folder, text, silent=silent)


def rehearse(
    platform: str = "",
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    all_rows: bool = False,
    tune: bool = False,
    workers: int | None = None,
    kill: bool = False,
    batch: bool = False,
    serving_version: str = "",
    folder: str | Path | None = None,
    **hyperparameters: Any,
) -> Rehearsal:
    """Rehearse the job of "sagemaker" or "vertex", or of both: the report, which is no error when it has not passed.

    Raises CallError where it cannot begin.
    """
    chosen = [
        word for name, ids in (("select", select), ("ignore", ignore)) for one in ids for word in (f"--{name}", one)
    ]
    asked = _option(tune=tune, workers=workers, kill=kill, batch=batch, serving_version=serving_version)
    words = ["rehearse", *_words(platform), *chosen, *_option(all_rows=all_rows), *asked]
    with tempfile.TemporaryDirectory(prefix="onstage-") as place:
        file = Path(place) / "report.json"
        lines = call([*words, "--json", str(file), *_flags(hyperparameters)], folder, failing=(1,))[0]
        if not file.is_file():
            raise CallError("\n".join(lines), 1)
        return Rehearsal(json.loads(file.read_text(encoding="utf-8")))


def tune(
    *,
    trials: int = 10,
    parallel: int = 1,
    timeout: float | None = None,
    trial_timeout: float = 3600,
    strategy: str = "tpe",
    pruner: str = "median",
    seed: int = 0,
    name: str = "search",
    folder: str | Path | None = None,
    **hyperparameters: Any,
) -> Trials:
    """Search hyperparameters on this machine, or go on with the search of that name: its trials, best first.

    `timeout` is in seconds for all, `trial_timeout` those after which one trial has failed.
    """
    options = _option(
        trials=trials, parallel=parallel, timeout=timeout, trial_timeout=trial_timeout, strategy=strategy,
        pruner=pruner, seed=seed, name=name,
    )  # fmt: skip
    return Trials(call(["tune", *options, *_flags(hyperparameters)], folder)[1])


def best(where: str = "", *, folder: str | Path | None = None) -> Trials:
    """The trials of "local" searches, or of the last one in "sagemaker" or "vertex"; by default all, best first."""
    return Trials(call(["best", *_words(where)], folder)[1])


def call(
    words: Sequence[str],
    folder: str | Path | None = None,
    text: str = "",
    *,
    failing: Sequence[int] = (),
    silent: bool = False,
) -> tuple[list[str], dict[str, Any]]:
    """Run `onstage` with these words in a folder: the lines that it printed, and what it left for a program.

    `text` is its standard input. Raises CallError for an exit code that is neither 0 nor among `failing`.
    """
    with tempfile.TemporaryDirectory(prefix="onstage-") as place:
        file = Path(place) / "outcome.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "onstage", *words],
            cwd=folder,
            env={**os.environ, outcome.VARIABLE: str(file), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            # A notebook's interrupt is handed on once, below.
            start_new_session=True,
        )
        lines = _lines(process, text, silent)
        code = process.returncode
        if code and code not in failing:
            said = "\n".join(lines).rpartition("error: ")[2]
            raise CallError(said or f"onstage {' '.join(words)}: exit code {code}", code)
        return lines, json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _lines(process: "subprocess.Popen[str]", text: str, silent: bool) -> list[str]:
    assert process.stdin and process.stdout, "both are pipes"
    lines = []
    try:
        process.stdin.write(text)
        process.stdin.close()
        # Else what is read at the end would write into it.
        process.stdin = None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if not silent:
                print(lines[-1], flush=True)
        process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            rest = process.communicate(timeout=_PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        print(rest, end="", flush=True)
        raise
    return lines


def _words(*given: str) -> list[str]:
    return [word for word in given if word]


def _option(**options: Any) -> list[str]:
    """Options that say something: `no_wait=True` is --no-wait, `trials=3` is --trials 3."""
    found = []
    for name, value in options.items():
        if value is True:
            found.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False and value != "":
            found += [f"--{name.replace('_', '-')}", str(value)]
    return found


def _flags(hyperparameters: Mapping[str, Any]) -> list[str]:
    return ["--", *flags.of_values(hyperparameters)] if hyperparameters else []
