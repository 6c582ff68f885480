# Owned by the template; packages to install stand in src/requirements.txt.
"""The source distribution that Vertex AI installs: the package `trainer` and nothing else."""

from pathlib import Path

from setuptools import find_packages, setup

# Relative, because a build runs in the folder of this file.
lines = Path("src/requirements.txt").read_text(encoding="utf-8").splitlines()

setup(
    # With a suffix, so that no project replaces a library of its own name in the image.
    name="{{ cookiecutter.project_slug }}_trainer",
    version="0.1.0",
    description={{ cookiecutter.description | literal }},
    author={{ cookiecutter.author_name | literal }},
    author_email={{ cookiecutter.author_email | literal }},
    package_dir={"": "src"},
    packages=find_packages("src", include=["trainer", "trainer.*"]),
    # Files beside the code, such as a vocabulary, travel when MANIFEST.in names them.
    include_package_data=True,
    # Vertex AI's prebuilt containers run Python 3.10, tensorflow/tensorflow runs 3.11.
    python_requires=">=3.10",
    install_requires=[line.strip() for line in lines if line.strip() and not line.startswith("#")],
)
