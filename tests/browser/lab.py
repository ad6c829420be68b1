"""A JupyterLab of one's own, opened in headless Chromium, and a second line to its kernel."""

import ast
import base64
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from jupyter_client import BlockingKernelClient

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no Playwright here: pip install -e '.[browser]'"
)
ROOT = Path(__file__).resolve().parents[2]
FAILED = "[data-mime-type='application/vnd.jupyter.error']"
WARNED = "[data-mime-type='application/vnd.jupyter.stderr']"
SETTINGS = {  # all cells are in the page, also those that are not on the screen
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false"},
}


def find_chromium() -> str | None:
    """The path of the system's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """JupyterLab on a free port of this machine, its settings and kernels in `folder`.

    Yields:
        its address with the token in it, to be completed: `address.format("notebook.ipynb")`.
    """
    for name, values in SETTINGS.items():
        (folder / "settings" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "settings" / name).write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "MFKIT_FAST": "1",
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with (
        open(folder / "lab.log", "w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, folder / "lab.log")
            yield f"http://127.0.0.1:{port}/doc/tree/{{}}?token={token}"
        finally:
            server.terminate()


def _wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urlopen(address, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}") from None
            time.sleep(0.2)


@contextmanager
def browse(executable: str) -> Iterator[tuple[playwright.Page, list[str]]]:
    """A page of headless Chromium, and a list that collects errors of its console and scripts."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        troubles = []
        page.on("console", lambda m: m.type == "error" and troubles.append(m.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        try:
            yield page, troubles
        finally:
            browser.close()


def run_all(page: playwright.Page, address: str) -> None:
    """Open a notebook, wait for its kernel, and begin to run all cells."""
    page.goto(address)
    page.get_by_text("| Idle").wait_for(timeout=90_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@contextmanager
def lesson(name: str, folder: Path) -> Iterator[tuple[playwright.Page, list[str]]]:
    """A copy of a lesson in a folder of its own, run until its end or an error: page, troubles."""
    file = f"notebooks/{name}.ipynb"
    (folder / "notebooks").mkdir()
    (folder / file).write_bytes((ROOT / file).read_bytes())
    for shared in ("data", "runs", "notebooks/results"):
        (ROOT / shared).mkdir(exist_ok=True)
        (folder / shared).symlink_to(ROOT / shared)
    with serve(folder) as address, browse(find_chromium()) as (page, troubles):
        run_all(page, address.format(file))
        cells = page.locator(".jp-CodeCell")
        last = cells.count() - 1
        prompt = cells.nth(last).locator(".jp-InputPrompt").first
        deadline = time.monotonic() + 600
        done = re.compile(rf"\[{last + 1}\]")
        while not (done.search(prompt.inner_text()) or page.locator(FAILED).count()):
            assert time.monotonic() < deadline, f"not all cells have run: {prompt.inner_text()}"
            time.sleep(1)
        yield page, troubles


def assert_no_trouble(page: playwright.Page, troubles: list[str]) -> None:
    """No cell has failed or warned, and neither the console nor a script has an error."""
    for kind in (FAILED, WARNED):
        assert [cell.inner_text() for cell in page.locator(kind).all()] == []
    assert troubles == []


class Kernel:
    """A second client of the kernel that a notebook runs in: what does Python say?

    Arguments:
        runtime: the folder of connection files, with one kernel in it.
    """

    def __init__(self, runtime: Path):
        (file,) = runtime.glob("kernel-*.json")
        self.client = BlockingKernelClient(connection_file=str(file))
        self.client.load_connection_file()
        self.client.start_channels()

    def run(self, code: str) -> None:
        """Run code without a trace in the notebook."""
        self._reply(self.client.execute(code, silent=True))

    def __call__(self, expression: str):
        """The value of an expression that has a literal as its repr."""
        sent = self.client.execute("", silent=True, user_expressions={"value": expression})
        value = self._reply(sent)["user_expressions"]["value"]
        if value["status"] != "ok":
            raise RuntimeError(f"{expression}: {value['evalue']}")
        return ast.literal_eval(value["data"]["text/plain"])

    def _reply(self, sent: str) -> dict:
        while True:
            reply = self.client.get_shell_msg(timeout=120)
            if reply["parent_header"].get("msg_id") == sent:
                return reply["content"]

    def close(self) -> None:
        """Leave the kernel to the notebook."""
        self.client.stop_channels()


def picture(image: playwright.Locator) -> bytes:
    """The bytes of an image in a page."""
    script = """async image => {
        const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
        return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
    }"""
    return base64.b64decode(image.evaluate(script))
