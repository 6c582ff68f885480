"""What pip is told of the environment of whoever rehearses."""

import pytest

from onstage.rehearsal.overlay import pip_settings


def test_pip_gets_its_settings_and_a_command_that_prints_them_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@host/simple")
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert pip_settings()["PIP_INDEX_URL"] == "https://user:secret@host/simple"
    assert pip_settings(shown=True)["PIP_TIMEOUT"] == "9"
    assert not any("secret" in value for value in pip_settings(shown=True).values())
    assert "AWS_SECRET_ACCESS_KEY" not in pip_settings()
