"""The rules for the answers to cookiecutter's questions."""

import json
import keyword
import re
import sys
import unicodedata
from difflib import get_close_matches
from pathlib import Path

SLUG = re.compile(r"[a-z][a-z0-9_]{1,39}")
REGIONS = json.loads(Path(__file__).with_name("regions.json").read_text(encoding="utf-8"))
# Names that would hide an import of the generated project or of the libraries that it runs with.
# fmt: off
TAKEN = frozenset([
    "boto3", "botocore", "build", "cloud", "conftest", "cookiecutter", "data", "dist", "docker", "google",
    "hypertune", "infra", "keras", "local", "model", "notebooks", "numpy", "pandas", "predict", "predictor",
    "pytest", "rehearse", "runs", "sagemaker", "sagemaker_entry", "scipy", "settings", "setup", "setuptools",
    "sklearn", "src", "task", "tensorboard", "tensorflow", "test", "tests", "tf", "torch", "train", "trainer",
    "training", "vertex", "vertexai",
])
# fmt: on


class AnswerError(ValueError):
    """An answer that cannot be used: one line with the value, the rule and a value that can."""


def package_name(text: str) -> str:
    """A project slug made of any text: `Iris Classifier 2` becomes `iris_classifier_2`."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")
    slug = re.sub(r"^[^a-z]+", "", slug)[:40].rstrip("_")
    return f"{slug or 'my'}_model"[:40] if len(slug) < 2 or _is_taken(slug) else slug


def check_slug(slug: str) -> None:
    """Raise AnswerError unless `slug` can name a folder, a Python package and, with dashes, a cloud's job."""
    if not SLUG.fullmatch(slug):
        rule = "use 2 to 40 of a-z, 0-9 and _, a letter first"
    elif _is_taken(slug):
        rule = "it is a Python keyword, a standard-library module or a package that the project uses"
    else:
        return
    raise AnswerError(f"project_slug {slug!r} cannot be used: {rule}. Try {package_name(slug)!r}.")


def check_text(question: str, text: str) -> None:
    """Raise AnswerError for a text with control characters, or characters that no file can hold."""
    clean = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)
    if clean != text:
        raise AnswerError(f"{question} {text!r} cannot be used: it holds a control character. Try {clean!r}.")
    if question == "project_name" and not text.strip():
        raise AnswerError(f"project_name {text!r} cannot be used: a project needs a name. Try 'My Model'.")


def check_region(question: str, region: str) -> None:
    """Raise AnswerError for a region in which the cloud does not train TensorFlow models."""
    known = REGIONS[question]
    if region not in known:
        near = (get_close_matches(region, known, n=1, cutoff=0.4) or known[:1])[0]
        rule = f"it is none of the {len(known)} regions that train TensorFlow models"
        raise AnswerError(f"{question} {region!r} cannot be used: {rule}. Try {near!r}.")


def check_all(answers: dict) -> None:
    """Raise AnswerError for the first answer that cannot be used."""
    for question in ("project_name", "description", "author_name", "author_email"):
        check_text(question, answers[question])
    check_slug(answers["project_slug"])
    for question in REGIONS:
        check_region(question, answers[question])


def _is_taken(slug: str) -> bool:
    return keyword.iskeyword(slug) or keyword.issoftkeyword(slug) or slug in sys.stdlib_module_names or slug in TAKEN
