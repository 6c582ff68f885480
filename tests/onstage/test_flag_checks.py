"""What is said of a script's flags before it runs: only what argparse is sure to say, next to what it takes."""

from pathlib import Path

import pytest

from onstage.checks import flag_checks
from onstage.checks.source_checks import Source

IMPORT = "import argparse\nimport sys\n"
MAKE = f"{IMPORT}parser = argparse.ArgumentParser()\n"
PARSE = "args = parser.parse_args()\n"
EPOCHS = "parser.add_argument('--epochs', type=int)\n"
FUNCTION = f"""{IMPORT}
def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    return parser.parse_args(argv)
"""


def said(folder: Path, text: str, *flags: str) -> str:
    """What is found, why nothing can be told, or nothing."""
    (folder / "train.py").write_text(text, encoding="utf-8")
    code = Source(folder, folder, "")
    if why := flag_checks.unknown_because(code, folder / "train.py"):
        return f"unknown: {why}"
    return " ".join(one.text for one in flag_checks.check_flags(code, folder / "train.py", flags))


REFUSED = {
    "a float for an int": (MAKE + EPOCHS + PARSE, ["--epochs", "2.0"], "invalid int value: '2.0'"),
    "an argument of main": (FUNCTION + "main()\n", ["--epochs", "x"], "invalid int value: 'x'"),
    "a slice of sys.argv": (FUNCTION + "main(sys.argv[1:])\n", ["--epochs", "x"], "invalid int value: 'x'"),
    "a default": (
        MAKE + "parser.add_argument('--epochs', type=int, default='many')\n" + PARSE, [], "invalid int value: 'many'",
    ),
    "a value after store_true": (
        MAKE + "parser.add_argument('--fast', action='store_true')\n" + PARSE, ["--fast", "True"],
        "unrecognized arguments: True",
    ),
    "twice the same argument": (MAKE + EPOCHS + EPOCHS + PARSE, [], "train.py, line 5: argparse refuses this argument"),
    "a number of values that is none": (
        MAKE + "parser.add_argument('--x', nargs=0)\n" + PARSE, [], "line 4: argparse refuses this argument: nargs",
    ),
    "an option that the action lacks": (
        MAKE + "parser.add_argument('--x', action='store_true', type=bool)\n" + PARSE, [], "line 4: argparse refuses",
    ),
    "help": (MAKE + EPOCHS + PARSE, ["--help"], "argparse prints its help"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_argparse_refuses_is_found(tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    text, flags, words = REFUSED[case]
    assert words in said(tmp_path, text, *flags)
    # Standard output may be the JSON of the report.
    assert capfd.readouterr().out == ""


TAKEN = {
    "parse_known_args": (
        MAKE + EPOCHS + "args, _ = parser.parse_known_args()\n", ["--epochs", "1", "--model_dir", "s3://b"],
    ),
    "a type of the script's own": (
        MAKE + "def yes(text):\n    return text in ('yes', 'True')\n"
        "parser.add_argument('--fast', type=yes, nargs='?', const=True, default=False)\n" + PARSE, ["--fast", "True"],
    ),
    "another meaning of int": (
        "def int(text):\n    return float(text)\n" + MAKE + EPOCHS + PARSE, ["--epochs", "1.5"],
    ),
    "a group": (
        MAKE + "group = parser.add_argument_group('a')\ngroup.add_argument('--epochs', type=int)\n" + PARSE,
        ["--epochs", "1"],
    ),
    "a helper in the file": (
        IMPORT + "def add(parser):\n    parser.add_argument('--epochs')\n"
        "parser = argparse.ArgumentParser()\nadd(parser)\n" + PARSE, ["--epochs", "1"],
    ),
    "-h of its own": (
        f"{IMPORT}parser = argparse.ArgumentParser(add_help=False)\nparser.add_argument('-h', type=int)\n{PARSE}",
        ["-h", "1"],
    ),
    "a later argument wins": (
        f"{IMPORT}parser = argparse.ArgumentParser(conflict_handler='resolve')\n{EPOCHS}{EPOCHS}{PARSE}",
        ["--epochs", "1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_what_argparse_takes_is_taken(tmp_path: Path, case: str) -> None:
    text, flags = TAKEN[case]
    assert said(tmp_path, text, *flags) == ""


UNKNOWN = {
    "click": "import click\n@click.command()\n@click.option('--epochs')\ndef main(epochs): ...\nmain()\n",
    "absl": f"from absl import app\n{FUNCTION}app.run(main)\n",
    "a library of the same names": f"import configargparse\nparser = configargparse.ArgumentParser()\n{EPOCHS}{PARSE}",
    "subparsers": f"{MAKE}train = parser.add_subparsers().add_parser('train')\n{PARSE}",
    "flags added elsewhere": f"{MAKE}from model import add_arguments\nadd_arguments(parser)\n{PARSE}",
    "a parser from elsewhere": f"{MAKE}import model\nparser = model.Net.add_arguments(parser)\n{PARSE}",
    "its method by another name": f"{MAKE}add = parser.add_argument\nadd('--epochs')\n{PARSE}",
    "flags in a loop": f"{MAKE}for name in ('--a', '--b'):\n    parser.add_argument(name)\n{PARSE}",
    "flags under a condition": f"{MAKE}if sys.platform:\n    parser.add_argument('--a', required=True)\n{PARSE}",
    "a command line of the script's own": f"{MAKE}{EPOCHS}parser.parse_args([*sys.argv[1:], '--epochs=1'])\n",
    "one that main is told": f"{FUNCTION}main(['--epochs', '1'])\n",
    "one that is filtered before": f"sys.argv = [one for one in sys.argv if one != '--x']\n{MAKE}{EPOCHS}{PARSE}",
    "a function that nobody calls": FUNCTION,
    "an error that is caught": (
        f"{MAKE}{EPOCHS}try:\n    parser.parse_args()\nexcept SystemExit:\n    pass\n"
    ),
    "errors as exceptions": f"{IMPORT}parser = argparse.ArgumentParser(exit_on_error=False)\n{EPOCHS}{PARSE}",
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_only_a_run_would_tell_is_not_refused(tmp_path: Path, case: str) -> None:
    assert said(tmp_path, UNKNOWN[case], "--unknown", "1").startswith("unknown: train.py")
