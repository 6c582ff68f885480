"""Finds in the source every text that a check can print, with … where a value stands."""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOLE = "…"
# Of an expression with several forms, such as "a" if x else "b".
_MOST = 24
# What makes a finding of its arguments.
_FINDINGS = {"Finding": ("text", "fix", "cloud"), "Problem": ("path", "text", "fix", "cloud")}
# What takes texts that nobody reads: a program's own words, and labels of what is going on.
_NOT_SAID = re.compile(
    r"^(compile|search|match|fullmatch|findall|finditer|sub|split|partition|rpartition|startswith|endswith|replace|"
    r"removeprefix|removesuffix|strip|get|getenv|doing|help|Option|Argument|call|run|Popen|getattr|setdefault)$"
)
# Regular expressions, addresses, programs, lists of names.
_CODE = re.compile(
    r"\\[.sSdDwWb(]|\(\?|\.\*|[|$]|^https?:|^arn:|^# |^\s*import |\[line|\[[A-Z][a-z]\]|^\w+( [A-Z]\w+)+$"
)


@dataclass(frozen=True)
class Message:
    """A text as it is printed: `kind` is "found", "skipped", or "part" of a line or what a check says when it passes.

    `place` is the function; `fix` and `cloud` have what the source says there beside the text, in all its forms.
    """

    place: str
    kind: str
    text: str
    fix: tuple[str, ...] = ()
    cloud: tuple[str, ...] = ()


def words(text: str) -> list[str]:
    """Words of a text that are no part of a name such as os.environ or --eval."""
    return re.findall(r"(?<![\w./-])[A-Za-z]{2,}(?![\w/-]|\.\w)", text.replace(HOLE, " "))


def pieces(text: str) -> list[str]:
    """What stands between the values."""
    return [piece for piece in map(str.strip, text.split(HOLE)) if piece]


def fullest(texts: Iterable[str]) -> list[str]:
    """Without texts that another one has all pieces of, in their order."""
    found = list(dict.fromkeys(texts))
    return [one for one in found if not any(one != other and within(one, other) for other in found)]


def within(one: str, other: str) -> bool:
    """Whether another text, a longer one, has all pieces of `one` in their order."""
    start = 0
    for piece in pieces(one):
        start = other.find(piece, start) + len(piece)
        if start < len(piece):
            return False
    return len(pieces(other)) >= len(pieces(one)) and len(other) > len(one)


@cache
def _texts(file: Path) -> dict[str, ast.expr]:
    """The constants of a module that are plain texts; none of a module that is not of this package."""
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    constants = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    return {
        node.targets[0].id: node.value
        for node in constants
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value.value, str)
    }


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.used: set[ast.AST] = set()
        self.constants: dict[str, ast.expr] = {}
        self.findings = dict(_FINDINGS)
        for node in tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
            elif isinstance(node, ast.ImportFrom) and node.module:
                there = _texts(ROOT / f"{node.module.replace('.', '/')}.py")
                self.constants |= {one.asname or one.name: there[one.name] for one in node.names if one.name in there}
            elif isinstance(node, ast.ClassDef):
                for base in node.bases:
                    if isinstance(base, ast.Name) and base.id in _FINDINGS:
                        self.findings[node.name] = _FINDINGS[base.id]

    def functions(self) -> "Iterator[_Function]":
        """Functions, methods, and what stands outside of them."""
        outside: list[ast.stmt] = []
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                yield _Function(self, node.name, [node])
            elif isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        yield _Function(self, f"{node.name}.{inner.name}", [inner])
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                outside.append(node)
        yield _Function(self, "", outside)


class _Function:
    """A function, and what its names may stand for."""

    def __init__(self, module: _Module, name: str, body: list[ast.stmt]) -> None:
        self.name, self._module = name, module
        # By node, in the order of the source: the lists of statements that it stands in.
        self._blocks: dict[ast.AST, tuple[int, ...]] = {}
        for node in body:
            self._note(node, (id(body),))
        self.nodes = list(self._blocks)
        self._local: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value)
            elif isinstance(node, ast.NamedExpr):
                self._bind(node.target, node.value)

    def _note(self, node: ast.AST, blocks: tuple[int, ...]) -> None:
        self._blocks[node] = blocks
        for _, value in ast.iter_fields(node):
            inner = value if isinstance(value, list) else [value]
            is_block = isinstance(value, list) and value and isinstance(value[0], ast.stmt)
            for one in inner:
                if isinstance(one, ast.AST):
                    self._note(one, (*blocks, id(value)) if is_block else blocks)

    def _values(self, name: ast.Name) -> list[ast.expr]:
        """What a name may stand for where it is used: nothing from before the last value that it surely has."""
        values = self._local.get(name.id, ())
        before = [one for one in values if one.lineno <= name.lineno and name not in ast.walk(one)]
        sure = [number for number, one in enumerate(before) if self._blocks[one][-1] in self._blocks[name]]
        return before[sure[-1] :] if sure else before

    def said(self, place: str) -> Iterator[Message]:
        """What is found, or raised, or says why a check is skipped."""
        for node in self.nodes:
            raised = node.exc if isinstance(node, ast.Raise) else None
            call = node if isinstance(node, ast.Call) else None
            if isinstance(raised, ast.Call) and raised.args and _called(raised) != "AssertionError":
                yield from _messages(place, "found", self._forms(raised.args[0]))
            elif call and (names := self._module.findings.get(_called(call))):
                given = dict(zip(names, call.args, strict=False)) | {one.arg: one.value for one in call.keywords}
                texts, *others = ([*self._forms(given[name])] if name in given else [] for name in names[-3:])
                fix, cloud = (tuple(one for one in fullest(each) if words(one)) for each in others)
                told = list(_messages(place, "found", texts, fix, cloud))
                # What another function has found stands there, and what to do about it here.
                yield from told or _messages(place, "part", [*fix, *cloud])
            elif call and _called(call) == "skip" and len(call.args) > 2:
                yield from _messages(place, "skipped", self._forms(call.args[2]))

    def rest(self, place: str) -> Iterator[Message]:
        """All other texts that people may read: of these, functions put lines together."""
        no = set()
        for node in self.nodes:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and isinstance(node.body[0], ast.Expr):
                no.add(node.body[0].value)
            elif isinstance(node, ast.Call) and _NOT_SAID.match(_called(node)):
                no.update(inner for one in (*node.args, *node.keywords) for inner in ast.walk(one))
            elif isinstance(node, ast.Compare):
                no.update(ast.walk(node))
            elif isinstance(node, ast.Assert) and node.msg:
                no.update(ast.walk(node.msg))
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                no.update(node.exc.args if _called(node.exc) == "AssertionError" else ())
            elif isinstance(node, (ast.JoinedStr, ast.arg)):
                no.update(inner for inner in ast.walk(node) if inner is not node)
            elif isinstance(node, ast.FunctionDef) and node.returns:
                no.update(ast.walk(node.returns))
        for node in self.nodes:
            is_text = isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str)
            )
            if is_text and node not in no and node not in self._module.used:
                least = 2 if isinstance(node, ast.JoinedStr) else 3
                texts = [one for one in self._forms(node) if len(words(one)) >= least and not _CODE.search(one)]
                yield from _messages(place, "part", texts)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._local.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._bind(one, its)

    def _forms(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> list[str]:
        """The texts that an expression may be, as far as this module says it."""
        self._module.used.add(node)
        if isinstance(node, ast.Constant):
            return [node.value if isinstance(node.value, str) else HOLE]
        if isinstance(node, ast.JoinedStr):
            return self._joined(node.values, seen)
        if isinstance(node, ast.FormattedValue):
            found = self._forms(node.value, seen)
            return [HOLE] if HOLE in found else found
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._joined([node.left, node.right], seen)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return [*self._forms(node.left, seen), ""]
        if isinstance(node, ast.IfExp):
            return self._any([node.body, node.orelse], seen)
        if isinstance(node, ast.BoolOp):
            is_or = isinstance(node.op, ast.Or)
            return self._any(node.values if is_or else node.values[-1:], seen) + ([] if is_or else [""])
        if isinstance(node, ast.Name) and node.id not in seen:
            known = self._module.constants
            values = self._values(node) or ([known[node.id]] if node.id in known else [])
            return self._any(values, seen | {node.id}) or [HOLE]
        if isinstance(node, ast.Call) and _called(node) == "format" and isinstance(node.func, ast.Attribute):
            return [re.sub(r"\{\w*\}", HOLE, one) for one in self._forms(node.func.value, seen)]
        return [HOLE]

    def _any(self, nodes: Iterable[ast.expr], seen: frozenset[str]) -> list[str]:
        return list(dict.fromkeys(one for node in nodes for one in self._forms(node, seen)))[:_MOST]

    def _joined(self, nodes: Iterable[ast.expr], seen: frozenset[str]) -> list[str]:
        parts = [self._forms(node, seen) for node in nodes]
        texts = ("".join(each) for each in itertools.islice(itertools.product(*parts), _MOST))
        return list(dict.fromkeys(re.sub(f"{HOLE}+", HOLE, one) for one in texts))


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _messages(
    place: str, kind: str, texts: Iterable[str], fix: tuple[str, ...] = (), cloud: tuple[str, ...] = ()
) -> Iterator[Message]:
    for text in fullest(texts):
        if len(words(text)) > 1 or (kind != "part" and any(len(piece) > 5 for piece in pieces(text))):
            # Of several lines the first says what is wrong.
            first, _, then = text.partition("\n")
            first, then = (first, then) if kind == "found" and len(words(first)) > 2 else (text, "")
            more = (_line(then.removeprefix("-> ")),) if words(then) else ()
            yield Message(place, kind, _line(first), (*map(_line, fix), *more), tuple(map(_line, cloud)))


def _line(text: str) -> str:
    # What stands before it is the name of an operation, and what the cloud says.
    return re.sub(f"^({HOLE}:? )+(?={HOLE})", "", " ".join(text.split()))


def messages(file: Path, name: str) -> list[Message]:
    """Those of a module, which is called `name`."""
    module = _Module(ast.parse(file.read_text(encoding="utf-8")))
    functions = list(module.functions())
    found = [one for each in functions for one in each.said(f"{name}:{each.name}")]
    # What these are made of is not said once more.
    rest = [one for each in functions for one in each.rest(f"{name}:{each.name}")]
    return list(dict.fromkeys([*found, *rest]))
