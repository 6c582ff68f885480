"""Jinja filters of the template: answers are checked as they are given, and written so that any string survives."""

import json
from collections.abc import Callable
from typing import Any

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

import answer_rules


def literal(text: str) -> str:
    """`text` as one double-quoted literal that Python, TOML and YAML read back unchanged."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def plain(text: str) -> str:
    """`text` on one line, for comments, Markdown and licences: what cannot be printed becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def as_json(answered: dict[str, Any]) -> str:
    """The answers, without cookiecutter's own variables, as the JSON that is kept in the project."""
    kept = {key: value for key, value in answered.items() if not key.startswith("_")}
    return json.dumps({"template_version": answered["_template_version"], "answers": kept}, indent=2)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    # TOML and YAML have no surrogates: one escape holds the whole code point.
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _checking(check: Callable[..., None]) -> Callable[..., str]:
    def filtered(answer: Any, *question: str) -> str:
        try:
            check(*question, answer)
        except answer_rules.AnswerError as error:
            # The one exception that cookiecutter shows as its text alone, with exit code 1 and nothing on disk.
            raise FailedHookException(str(error)) from error
        return ""

    return filtered


class TemplateExtension(Extension):
    """Registers the filters; named in `_extensions` of cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(
            literal=literal,
            plain=plain,
            answers=as_json,
            package_name=answer_rules.package_name,
            check_answers=_checking(answer_rules.check_all),
            check_slug=_checking(answer_rules.check_slug),
            check_text=_checking(answer_rules.check_text),
            check_region=_checking(answer_rules.check_region),
        )
