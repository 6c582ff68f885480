"""Whether the objective is a metric that the model's compile() names, and is looked at in its own direction."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from onstage.checks.source_checks import Source
from onstage.report import Finding

# What Keras calls a metric that is given by a shorter name; either may be what it logs.
_SHORT = {"acc": "accuracy", "mse": "mean_squared_error", "mae": "mean_absolute_error"}
_LESS_IS_BETTER = re.compile(r"loss|error|(^|_)(r?mse|mae|mape|msle)(_|$)|crossentropy|deviance|divergence|perplexity")
_MORE_IS_BETTER = re.compile(r"acc|auc|precision|recall|(^|_)f\d|iou|(^|_)r2|score")


def check_objective(code: Source, objective: Any) -> list[Finding] | str:
    """`objective` has `metric` and `goal`; where compile() computes its metrics, their names are not judged."""
    file = code.folder / "trainer" / "model.py"
    named = _metrics(code.trees.get(file, ast.Module([], [])))
    known = ["loss", "val_loss", *(f"val_{name}" for name in named or ())]
    if named is not None and objective.metric not in known:
        return [
            Finding(
                f"OBJECTIVE names {objective.metric!r}; compile() names {', '.join(known)}",
                "write one of these, or add the metric to compile(weighted_metrics=[...])",
                "a tuning job fails: no line of the log has the metric of its objective",
                file=code.name(file),
            )
        ]
    name = objective.metric.removeprefix("val_").lower()
    against = _LESS_IS_BETTER if objective.goal == "maximize" else _MORE_IS_BETTER
    in_favour = _MORE_IS_BETTER if objective.goal == "maximize" else _LESS_IS_BETTER
    if against.search(name) and not in_favour.search(name):
        better = "less" if objective.goal == "maximize" else "more"
        return [
            Finding(
                f"OBJECTIVE is to {objective.goal} {objective.metric}, of which {better} is better",
                f'write Objective("{objective.metric}", "{"minimize" if better == "less" else "maximize"}")',
                "the tuning service keeps the worst trial as the best",
                warning=True,
                file=code.name(file),
            )
        ]
    return f"{objective.goal} {objective.metric}"


def _metrics(tree: ast.Module) -> list[str] | None:
    """The names of all metrics of every compile(); None where some cannot be seen without running it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "compile"]
    names: list[str] = []
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg is None:
                return None
            if keyword.arg in ("metrics", "weighted_metrics"):
                if not isinstance(keyword.value, (ast.List, ast.Tuple)):
                    return None
                found = [list(_names(element)) for element in keyword.value.elts]
                if not all(found):
                    return None
                names += [name for each in found for name in each]
    return names if calls else None


def _names(element: ast.expr) -> Iterator[str]:
    """The names that Keras may log a metric by; none for one that cannot be seen."""
    if isinstance(element, ast.Constant) and isinstance(element.value, str):
        yield element.value
        if element.value in _SHORT:
            yield _SHORT[element.value]
    elif isinstance(element, ast.Call):
        given = next((keyword.value for keyword in element.keywords if keyword.arg == "name"), None)
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield given.value
        elif given is None and ast.unparse(element.func).startswith(("keras.metrics.", "tf.keras.metrics.")):
            # As Keras makes a name of a class: MeanSquaredError is mean_squared_error, AUC is auc.
            parted = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", _name(element.func))
            yield re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
