"""The page's modules: their types, their pure parts, and how they are served."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from person import BLANK, DENSE, Person
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support import REPOSITORY, App, close, missing

from hfvae import VAE
from hfvae.demo import page

IMPORTS = re.compile(r"^import .*?from \"(.+?)\";$", re.MULTILINE)
MODULES = [page.FOLDER / path for path in page.modules()]


def node(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Node's in the repository."""
    program = shutil.which(command[0])
    if program is None:
        missing("no Node.js on the PATH")
    return subprocess.run([program, *command[1:]], cwd=REPOSITORY, capture_output=True, text=True, timeout=200)


def test_the_types_are_right() -> None:
    typescript = ("npx", "--yes", "--package", "typescript@~5.9.3", "tsc")
    found = node(*typescript, "--version")
    if found.returncode:
        missing(f"no TypeScript compiler: {found.stderr.strip()[-200:]}")
    done = node(*typescript, "--project", "jsconfig.json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pure_parts() -> None:
    tests = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tests" / "page").glob("*.test.js"))
    done = node("node", "--test", *tests)
    assert done.returncode == 0, done.stdout + done.stderr


def imported(path: Path) -> set[Path]:
    return {(path.parent / found).resolve() for found in IMPORTS.findall(path.read_text())}


def test_tabs_import_the_page_and_never_each_other() -> None:
    modules = {path: imported(path) for path in MODULES}
    for path, others in modules.items():
        assert others <= modules.keys(), path.name
        folders = {other.parent.name for other in others} - {path.parent.name}
        assert folders <= ({"page"} if path.parent.name != "page" else set()), path.name
    unused = modules.keys() - set().union(*modules.values())
    entries = {page.FOLDER / tab for tab in ("header/header.js", "draw/draw.js", "draw/explain.js", "page/worker.js")}
    assert entries <= unused


def test_no_module_imports_itself_by_a_detour() -> None:
    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " -> ".join(step.name for step in (*trail, path))
        for other in imported(path):
            visit(other, (*trail, path))

    for path in MODULES:
        visit(path, ())


def test_modules_are_served_for_good_under_their_version_alone() -> None:
    client = TestClient(Starlette(routes=[page.route()]))
    assert {"draw/draw.js", "page/strings/en.json"} <= page.files().keys()
    for path in page.files():
        answer = client.get(f"modules/{page.version()}/{path}")
        assert answer.content == (page.FOLDER / path).read_bytes()
        assert answer.headers["content-type"].startswith(("text/javascript", "application/json"))
        assert "immutable" in answer.headers["cache-control"]
    for address in ("0123456789abcdef/draw/draw.js", f"{page.version()}/draw/draw.py", f"{page.version()}/../page.py"):
        assert client.get(f"modules/{address}").status_code == 404


def test_a_copy_is_made_once_and_never_in_a_strangers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    address = page.copied.__wrapped__()
    folder = Path(address.removeprefix("gradio_api/file="))
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == page.files().keys()
    (folder / "draw" / "draw.js").write_text("damaged")
    assert page.copied.__wrapped__() == address
    assert (folder / "draw" / "draw.js").read_bytes() == page.files()["draw/draw.js"]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert page.copied.__wrapped__() != address


NESTED = """
import sys
import gradio as gr
from hfvae.demo import build_demo

demo = build_demo(["mnist-dense-2d"], device="cpu")
with gr.Blocks(analytics_enabled=False) as around:
    gr.Markdown("# Around")
    demo.render()
around.launch(server_port=int(sys.argv[2]), quiet=True)
"""


@pytest.mark.browser
def test_the_page_inside_other_blocks(browser: Any, tmp_path: Path, vaes: dict[str, VAE]) -> None:
    """It has its styles, its texts and its modules, although nothing of ours is in the document's head."""
    script = tmp_path / "nested.py"
    script.write_text(NESTED)
    app = App(tmp_path / "log", script=script, PYTHONPATH=str(REPOSITORY))
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    person = Person(page, app.url)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    assert close(person.settled("#reconstruction"), vaes[DENSE], person.z)
    assert person.page.locator("[data-do=clear]").inner_text() == "Clear"
    assert person.page.locator("#toast").evaluate("(it) => getComputedStyle(it).position") == "fixed"
    for tab in ("Sliders", "Latent map", "Compare"):
        person.open(tab)
    assert person.mishaps == said == person.outside == []
    page.context.close()
    app.stop()
