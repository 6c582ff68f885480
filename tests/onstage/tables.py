"""Tables as a researcher may have them: rows made by chance, of kinds that are known."""

import random

CHANCE = random.Random(4)
WORDS = ["night", "day", "storm", "king", "river", "city", "love", "star", "last", "heart"]


def rows(count: int, *fields: object) -> list[list[str]]:
    """Rows of which each field is a text, a list to choose from, or a function of the row's number."""

    def field(kind: object, number: int) -> str:
        return str(kind(number) if callable(kind) else CHANCE.choice(kind) if isinstance(kind, list) else kind)

    return [[field(kind, number) for kind in fields] for number in range(count)]


def table(header: str, body: list[list[str]], delimiter: str = ",", end: str = "\n") -> bytes:
    lines = [header] * bool(header) + [delimiter.join(row) for row in body]
    return "".join(line + end for line in lines).encode()


def number(low: float, high: float, digits: int = 3) -> object:
    return lambda _: f"{CHANCE.uniform(low, high):.{digits}f}"


def film(row: int) -> str:
    return " ".join(CHANCE.choice(WORDS) for _ in range(3 + row % 4)) + f" {row}"


FILMS = table(
    "film_id;title;released;genre;minutes;sequel;budget;success",
    rows(
        400, lambda row: 1000 + 7 * row, film, lambda row: f"20{row % 20:02}-0{1 + row % 9}-1{row % 10}",
        ["drama", "drama", "comedy"], lambda row: "NA" if row % 9 == 0 else 60 + row % 90, ["True", "False"],
        lambda row: "" if row % 7 == 0 else f"{row * 1.37:.2f}", ["yes", "no"],
    ),
    ";",
)  # fmt: skip
