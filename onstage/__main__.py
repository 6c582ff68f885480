"""`python -m onstage` is `onstage`."""

from onstage.cli import run

if __name__ == "__main__":
    run()
