"""What the training toolkit writes to the failure file, which becomes FailureReason, when a command fails."""

import builtins
from collections.abc import Sequence

# Classes of tensorflow.python.framework.errors_impl in TensorFlow 2.21. The first whose name occurs in the captured
# text names the failure: "NotFoundError" for a ModuleNotFoundError, because its name occurs in that one's.
_TENSORFLOW_ERRORS = (
    "AbortedError",
    "AlreadyExistsError",
    "CancelledError",
    "DataLossError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "InaccessibleTensorError",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "OpError",
    "OperatorNotAllowedInGraphError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "raise_exception_on_not_ok_status",
    "XlaRuntimeError",
)
_MARKS = (
    *(name for name in dir(builtins) if "Error" in name or "Exception" in name),
    *("Invalid requirement", "ResourceExhaustedError", "OutOfRangeError", "InvalidArgumentError"),
    *("mpirun.real", "ORTE"),
)
SCRIPT_ERRORS = ("ExecuteUserScriptError", *_TENSORFLOW_ERRORS)


class ContainerError(Exception):
    """`train` gives up: the text goes to the failure file, `exit_code` is the container's."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def failure_text(
    kind: str, errors: Sequence[str], exit_code: int, command: Sequence[str], captured: Sequence[str]
) -> str:
    """The failure file's text for a command that ended with `exit_code`.

    `kind` names the failure, unless one of `errors` occurs in what was `captured` of stdout and of stderr.
    """
    text = "\n".join(dict.fromkeys(" ".join(captured).split("\n"))).strip()
    kind = next((name for name in errors if name in text), kind)
    # sh reports so what was killed below it, and the toolkit takes it for the machine's memory.
    extra = 'ExtraInfo "OutOfMemory: Process killed by SIGKILL (signal 9)"\n' if exit_code == 137 else ""
    return f'{kind}:\nExitCode {exit_code}\nErrorMessage "{text}"\n{extra}Command "{" ".join(command)}"'


class Captured:
    """What the toolkit keeps of one stream for the failure file: everything from the first line that names an error."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = (*_MARKS, *marks)
        self._started = False
        self.text = ""

    def add(self, line: str) -> None:
        """Look at the next line."""
        self._started = self._started or any(mark in line for mark in self._marks)
        if self._started:
            self.text += (" " if self.text else "") + line.strip(" :\n") + "\n"
