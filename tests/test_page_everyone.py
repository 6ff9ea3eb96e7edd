"""The page for everyone: screen readers, colour blindness, other languages, slow servers."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import axe_playwright_python
import numpy as np
import pytest
from person import BLANK, CONV, DENSE, Person
from support import REPOSITORY, App, close

from hfvae import VAE

pytestmark = pytest.mark.browser
DEMO = REPOSITORY / "hfvae" / "demo"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TABS = ("Draw", "Sliders", "Latent map", "Compare")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("model", [DENSE, CONV])
def test_axe_finds_nothing_serious(app: App, browser: Any, theme: str, model: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    person = Person(context.new_page(), f"{app.url}?__theme={theme}")
    person.choose(model)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")
    person.press("How sure is the model?")
    person.page.locator("#how summary").click()
    person.page.evaluate(AXE)
    found = {}
    for tab in TABS:
        person.open(tab)
        person.page.wait_for_timeout(400)  # colours fade in
        result = person.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found[f"{tab}: {violation['id']}"] = [node["html"][:200] for node in violation["nodes"]][:3]
    context.close()
    assert found == {}


def texts() -> dict[str, dict[str, str]]:
    return {path.stem: json.loads(path.read_text()) for path in (DEMO / "page" / "strings").glob("*.json")}


def test_translations_are_whole() -> None:
    english, *others = (texts()["en"], *(text for name, text in texts().items() if name != "en"))
    assert others
    for other in others:
        assert other.keys() == english.keys()
        for key, text in english.items():
            fields = set(re.findall(r"\{(\w+)\}", other[key])) - set(re.findall(r"\{(\w+)\}", text))
            assert not fields, key


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    sources = "".join(path.read_text() for path in [*DEMO.rglob("*.js"), *DEMO.rglob("*.html"), *DEMO.rglob("*.py")])
    quoted = set(re.findall(r"[\"'`]([a-z][a-z_]*(?:\.[a-z0-9_]+)*)[\"'`]", sources))
    patterns = [
        re.compile(re.sub(r"\\\$\\\{[^}]*\\\}", r"\\w+", re.escape(pattern)))
        for pattern in re.findall(r"`([a-z.]+\$\{[^}]*\})`", sources)
    ]
    keys = texts()["en"].keys()
    assert {key for key in keys if key not in quoted and not any(it.fullmatch(key) for it in patterns)} == set()
    used = set(re.findall(r"\bt\(\"([^\"]+)\"", sources)) | set(re.findall(r"data-t(?:-\w+)?=\"([^\"]+)\"", sources))
    assert used <= keys


def test_markup_holds_no_language() -> None:
    """What a widget shows comes from its texts: its markup has no words between tags, and no labels in attributes."""
    for path in DEMO.rglob("*.html"):
        text = re.sub(r"<math>.*?</math>|<code>.*?</code>|<h1>hfvae</h1>", "", path.read_text())
        words = re.findall(r">[^<]*[A-Za-z]{2,}[^<]*<", text)
        assert words == [], path.name
        assert not re.search(r"(?<![\w-])(aria-label|title|placeholder)=", text), path.name


def test_the_page_in_german(app: App, browser: Any) -> None:
    context = browser.new_context(locale="de-DE")
    person = Person(context.new_page(), app.url)
    person.page.get_by_role("tab", name="Regler").wait_for()
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")
    assert "sieht aus wie" in person.page.locator(".hf-voted").inner_text()
    assert person.page.evaluate("document.documentElement.lang") == "de"
    context.close()


def test_right_to_left(app: App, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(context.new_page(), app.url)
    person.page.evaluate("document.documentElement.dir = 'rtl'")
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


# Viénot, Brettel & Mollon 1999: linear RGB as a dichromat sees it
DICHROMATS = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB (N, 3)."""
    ratio = linear @ TO_XYZ.T / [0.9505, 1, 1.089]
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], 1)


@pytest.mark.parametrize("sight", ["normal", *DICHROMATS])
def test_class_colours_differ_for_everyone(sight: str) -> None:
    colours = re.findall(r"#[0-9a-f]{6}", (DEMO / "page" / "atlas.js").read_text())[:10]
    srgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = lab(np.clip(linear @ np.array(DICHROMATS.get(sight, np.eye(3))).T, 0, 1))
    closest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))
    assert closest > 8, "and marks tell them apart besides"


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_last_stroke_ends_in_the_last_picture(app: App, browser: Any, vaes: dict[str, VAE], model: str) -> None:
    """On a server that takes 400 ms a call."""
    page = browser.new_context().new_page()
    page.add_init_script(
        """
        const fetched = window.fetch;
        window.fetch = async (...request) => {
            const answer = await fetched(...request);
            if (String(request[0]).includes("component_server")) await new Promise((go) => setTimeout(go, 400));
            return answer;
        };
        """
    )
    person = Person(page, app.url)
    person.choose(model)
    page.evaluate(
        """() => {
            window.marks = 0;
            const root = document.documentElement;
            new MutationObserver(() => (marks += "slow" in root.dataset)).observe(root, { attributes: true });
        }"""
    )
    for number in range(8):
        for stroke in range(5):  # forty strokes, each before the answer to the one before
            person.draw((60 + 30 * stroke, 40 + 10 * number), (70 + 25 * stroke, 230 - 5 * number))
        person.wait_for_change("#reconstruction", BLANK)
        assert close(person.settled("#reconstruction"), vaes[model], person.z)
        seen = person.settled("#seen")
        assert seen == page.evaluate(
            """async () => {
                const judged = hfvae.state.judged;
                return Array.from(judged.seen);
            }"""
        )
        person.press("Clear")
        assert person.settled("#seen") == BLANK
    assert page.evaluate("marks") > 0, "a quiet mark says that a picture is on its way"
    page.context.close()
