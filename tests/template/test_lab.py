"""The first notebook, as people see it: in JupyterLab, in a real browser, in a light and in a dark theme."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import Bake
from tests.notebooks import execute
from tests.onstage.processes import until

NOTEBOOK = Path("notebooks", "01_explore_and_train.ipynb")
KERNEL = "iris_classifier"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Many minutes of a busy machine: nothing here depends on how long it takes.
PATIENCE = 300
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium here; on Debian: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all that Jupyter writes, in place of whoever runs the tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def variables(home: Path) -> dict[str, str]:
    places = {"HOME": home, "JUPYTER_DATA_DIR": home / "data", "JUPYTER_RUNTIME_DIR": home / "runtime"}
    settings = {"JUPYTER_CONFIG_DIR": home / "config", "JUPYTERLAB_SETTINGS_DIR": home / "settings"}
    return {**os.environ, **{name: str(place) for name, place in (places | settings).items()}}


@pytest.fixture(scope="module")
def executed(bake: Bake, tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Path:
    """A project whose first notebook was run, with three epochs, after `onstage notebook`."""
    project = tmp_path_factory.mktemp("executed") / KERNEL
    shutil.copytree(bake(), project)
    words = [sys.executable, "-m", "onstage", "notebook", "--user"]
    subprocess.run(words, cwd=project, env=variables, check=True, capture_output=True)
    places = {name: value for name, value in variables.items() if name.startswith("JUPYTER_")}
    parameters = 'HYPERPARAMETERS = {"epochs": 3}\nROWS = 200'
    nbformat.write(execute(project, NOTEBOOK.stem, parameters, places, KERNEL).notebook, project / NOTEBOOK)
    return project


@pytest.fixture(scope="module")
def address(executed: Path, home: Path, variables: dict[str, str]) -> Iterator[str]:
    """The notebook's address in a JupyterLab that asks for a token, and runs while the tests do."""
    token = secrets.token_hex()
    settings = {
        # All cells are in the page, not only those on the screen.
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, values in settings.items():
        write_settings(home, name, values)
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
                f"--IdentityProvider.token={token}",
            ],
            cwd=executed, env=variables, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            file = home / "runtime" / f"jpserver-{server.pid}.json"
            until(lambda: file.exists() or server.poll() is not None, PATIENCE)
            assert server.poll() is None, (home / "log").read_text()
            found = json.loads(file.read_text())
            yield f"{found['url']}lab/tree/{NOTEBOOK.as_posix()}?token={token}"
        finally:
            server.terminate()
            server.wait()


def write_settings(home: Path, name: str, values: dict[str, Any]) -> None:
    file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox does not work for root.
        words = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=words)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 1000})
    opened.set_default_timeout(PATIENCE * 1000)
    yield opened
    opened.close()


@pytest.mark.parametrize("theme", THEMES)
def test_the_first_notebook_opens_with_the_projects_kernel_and_shows_its_pictures(
    theme: str, address: str, executed: Path, home: Path, page: Page, tmp_path: Path
) -> None:
    write_settings(home, "apputils-extension/themes", {"theme": THEMES[theme]})
    page.goto(address)
    expect(page.locator(".jp-Toolbar-kernelName")).to_have_text(KERNEL, timeout=PATIENCE * 1000)
    expect(page.locator(f"body[data-jp-theme-name='{THEMES[theme]}']")).to_have_count(1)

    content = nbformat.read(executed / NOTEBOOK, as_version=4)
    expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(len(content.cells))
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    drawn = sum(any(kind.startswith("image/") for kind in output.get("data", {})) for output in outputs)
    pictures = page.locator(".jp-OutputArea-output img")
    expect(pictures).to_have_count(drawn)
    assert drawn > 3
    widths = pictures.evaluate_all("all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth)))")
    assert min(widths) > 0

    # For people; the whole of the notebook is as high as its pictures.
    height = page.locator(".jp-Notebook .jp-Cell").evaluate_all(
        "all => all.reduce((sum, one) => sum + one.offsetHeight, 0)"
    )
    page.set_viewport_size({"width": 1280, "height": height + 400})
    page.screenshot(path=tmp_path / f"{theme}.png")
    assert (tmp_path / f"{theme}.png").stat().st_size > 100_000


def test_without_the_token_nobody_sees_it(address: str, page: Page) -> None:
    page.goto(address.partition("?")[0])
    expect(page.get_by_label("Password or token:")).to_be_visible()
    assert page.locator(".jp-Notebook").count() == 0
