"""What somebody does at the page once it is up: draw, move a slider, hover over the map, compare."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from person import BLANK, Person
from support import free_port, wait_until_served

SEVEN = ((80, 70), (200, 70), (130, 220))
KEY = re.compile(r"[a-z_]+(\.[a-z_]+)+")
"""What a text looks like that was left untranslated."""


def watched(page: Any) -> list[str]:
    """A list that will hold each error of the page's console and each answer that was refused."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status > 399 else None)
    return faults


def walk(person: Person, models: int = 2) -> None:
    """Draw a digit, move it, look at it on the map, compare it."""
    page = person.page
    tabs = [tab.inner_text() for tab in page.get_by_role("tab").all()]
    assert tabs == ["Draw", "Sliders", "Latent map", "Compare"]
    before = person.pixels("#reconstruction")
    person.draw(*SEVEN)
    reconstruction = person.wait_for_change("#reconstruction", before)
    assert max(reconstruction) > 200
    assert person.settled("#seen") != BLANK
    page.wait_for_function("document.querySelector('.hf-voted').textContent.length > 20")
    assert page.locator("#digits .hf-cell").count() > 0

    person.open("Sliders")
    generated = person.settled("#generated")
    page.locator("#sliders input").first.press("ArrowRight")
    person.wait_for_change("#generated", generated)
    assert page.locator("#prior .hf-cell").count() == 24

    person.open_map()
    decoded = person.settled("#decoded")
    for place in (0.35, 0.45, 0.55, 0.65):
        person.point_at("#map canvas", place, 0.5)
    person.wait_for_change("#decoded", decoded)

    person.open("Compare")
    page.wait_for_function(f"document.querySelectorAll('#compared canvas').length === {models}")
    texts = [text.strip() for text in page.locator("button, h2, p, label, summary, legend").all_inner_texts()]
    assert [text for text in texts if KEY.fullmatch(text)] == []


@contextmanager
def visitor(browser: Any, url: str) -> Iterator[Person]:
    """Somebody new at the page; nothing may go wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults = watched(page)
    person = Person(page, url)
    yield person
    for wrong in (person.outside, person.mishaps, faults):
        assert not wrong, wrong
    context.close()


@contextmanager
def served(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The address of an app that a command serves from a folder; its log must end without a traceback."""
    port, log = free_port(), folder.parent / f"{folder.name}.log"
    settings = {**environment, "GRADIO_SERVER_PORT": str(port)}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/", process, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without what would make it find another package, other models or another hub."""
    ours = ("HFVAE_MODELS", "PYTHONPATH", "HF_", "GRADIO_", "COVERAGE_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **changes}
