"""SageMaker's own words."""

from onstage.problem import Key, Path


def refusal(path: Path, value: object, constraint: str) -> str:
    """SageMaker's words for a value that breaks a constraint of its model.

    Members are written in lower camel case and counted from 1; a map's or list's plain values are reported as a whole.
    """
    inside = next((number for number, part in enumerate(path) if isinstance(part, Key)), None)
    if inside is not None:
        constraint, value = f"Map value must satisfy constraint: [{constraint}]", "{" + f"{path[inside]}={value}" + "}"
        path = path[:inside]
    elif path and isinstance(path[-1], int):
        constraint, value, path = f"Member must satisfy constraint: [{constraint}]", f"[{value}]", path[:-1]
    names = [f"{part + 1}.member" if isinstance(part, int) else part[:1].lower() + part[1:] for part in path]
    shown = value if len(str(value)) <= 100 else f"{str(value)[:97]}..."
    return (
        f"ValidationException: 1 validation error detected: Value '{shown}' at '{'.'.join(names)}' "
        f"failed to satisfy constraint: {constraint}"
    )
