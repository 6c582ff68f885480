"""The net under the checks at the prompt, which `cookiecutter --replay` skips: they run while this file is rendered."""
# {{ cookiecutter | check_answers }}
