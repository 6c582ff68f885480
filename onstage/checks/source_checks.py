"""What is wrong with the code in `src/`, seen without running it: each check takes milliseconds."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from onstage import source, stopping
from onstage.errors import UserError
from onstage.project import Project, has_module, install_line
from onstage.report import Finding

SECRET_NAMES = re.compile(
    r"(^|[._-])(id_rsa|id_ed25519|credentials?|secrets?)([._-]|$)|\.(pem|key|p12|pfx|jks)$", re.IGNORECASE
)
SECRET_TEXTS = {
    "an AWS access key": re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "an AWS secret key": re.compile(rb"aws_secret_access_key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}


@dataclass(frozen=True)
class Image:
    """What the checks know of a training image: its name, Python version and, if known, installed distributions.

    `pins` are these with their versions, such as numpy==2.4.6.
    """

    name: str
    python: tuple[int, int]
    packages: frozenset[str] | None
    pins: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Its Python version, such as 3.12."""
        return ".".join(map(str, self.python))


@dataclass
class Source:
    """The files of `folder` that would travel, and the syntax trees of those that this Python can read.

    `label` is the folder as its author knows it, such as "src"; `root` is where she works on it: what the code finds
    there it will not find in the cloud. The `package` is what is installed of the folder, where something is; `only` is
    the subfolder that travels. `required`, names of distributions, is what a package of its own brings, in place of
    requirements.txt.
    """

    folder: Path
    root: Path
    label: str = "src"
    package: str = "trainer"
    only: str = ""
    required: frozenset[str] | None = None
    files: list[Path] = field(init=False)
    trees: dict[Path, ast.Module] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, project: Project) -> "Source":
        """`src/` of a project."""
        return cls(project.source, project.root)

    @property
    def place(self) -> str:
        """The folder in a sentence."""
        return f"{self.label}/" if self.label else "what travels"

    @property
    def requirements(self) -> Path:
        """The file that the platforms install."""
        return self.folder / "requirements.txt"

    @property
    def requires(self) -> str:
        """Where its author writes what it needs."""
        return self.name(self.requirements) if self.required is None else "install_requires"

    def name(self, file: Path) -> str:
        """`file` as its author knows it."""
        return "/".join(filter(None, [self.label, *file.relative_to(self.folder).parts]))

    def has_module(self, name: str) -> bool:
        """Whether the top of a dotted name is a module that travels."""
        return has_module(self.folder, name)

    def __post_init__(self) -> None:
        self.files = source.files(self.folder / self.only)
        for file in self.files:
            if file.suffix == ".py":
                try:
                    self.trees[file] = ast.parse(file.read_bytes())
                except (SyntaxError, ValueError):
                    # `check_syntax` reports it, in the words of the image's Python.
                    continue


def check_syntax(code: Source, image: Image) -> list[Finding]:
    """Syntax that the image's Python does not know, and names that nobody defined."""
    python_files = [str(file) for file in code.files if file.suffix == ".py"]
    version = f"py{image.python[0]}{image.python[1]}"
    done = stopping.call(
        [
            sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format=json",
            "--select=F821,F822", f"--target-version={version}", *python_files,
        ]
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise UserError(f"ruff does not run: {done.stderr.strip()}; {install_line(code.root)}")
    return [
        Finding(
            found["message"],
            "correct the line" if found["code"] in ("F821", "F822") else f"write it as Python {image.version} reads it",
            "" if found["code"] in ("F821", "F822") else f"{image.name} runs Python {image.version}: SyntaxError",
            file=code.name(Path(found["filename"])),
            line=found["location"]["row"],
        )
        for found in json.loads(done.stdout)
    ]


def check_travelling(code: Source) -> list[Finding]:
    """Files that must not travel: secrets, by their names or by what they hold."""
    findings = []
    for file in code.files:
        content = file.read_bytes()
        kinds = [kind for kind, pattern in SECRET_TEXTS.items() if pattern.search(content)]
        if SECRET_NAMES.search(file.name) or kinds:
            found = f"holds {kinds[0]}" if kinds else "looks like a secret by its name"
            findings.append(Finding(f"{code.name(file)} {found} and would be uploaded", f"move it out of {code.place}"))
    return findings


def check_paths(code: Source) -> list[Finding]:
    """Texts that are paths of this machine: in the cloud there is nothing at them."""
    findings = []
    for file, tree in code.trees.items():
        ends = set(_ends_of_paths(tree))
        for node in ast.walk(tree):
            if node in ends:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_local(node.value, code):
                findings.append(
                    Finding(
                        f"{node.value!r} is a path of this machine",
                        "let a channel or a flag name the data; the code is told its place in the cloud",
                        f"FileNotFoundError: [Errno 2] No such file or directory: {node.value!r}",
                        file=code.name(file),
                        line=node.lineno,
                    )
                )
    return findings


def _ends_of_paths(tree: ast.Module) -> Iterator[ast.AST]:
    """What is put behind a folder: join(folder, "x.csv"), folder.joinpath("x.csv"), folder / "x.csv"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _dotted_name(node.func).rpartition(".")[2]
            yield from node.args if name == "joinpath" else node.args[1:] if name == "join" else ()
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node.right


def _is_local(text: str, code: Source) -> bool:
    if "\n" in text or not re.search(r"[/\\]|\.(csv|tsv|json|parquet|npy|npz|txt)$", text) or "://" in text:
        return False
    path = Path(text)
    if re.match(r"[A-Za-z]:\\|/(home|Users|mnt|media)/\w", text):
        return True
    if path.is_absolute():
        return path.is_relative_to(code.root)
    # What lies in src/ travels and is found by its place beside the code; what lies elsewhere in the project does not.
    return not (code.folder / path).exists() and path.name != "" and (code.root / path).exists()


def _dotted_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
