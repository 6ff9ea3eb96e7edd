"""Make README's screenshots: each tab, wide and on a phone, light and dark.

    python tests/tools/screenshots.py FOLDER

MNIST is hidden from the app, so that none of its images gets into a picture.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import paths  # noqa: F401
from support import App, open_browser

SCREENS = {"wide": {"width": 1240, "height": 860}, "phone": {"width": 390, "height": 844}}
STROKE = [(90, 80), (150, 60), (190, 95), (130, 135), (195, 180), (150, 225), (85, 205)]


def shoot(page: Any, path: Path) -> None:
    page.wait_for_timeout(2500)
    page.screenshot(path=path)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty, open_browser() as browser:
        app = App(Path(empty) / "log", HFVAE_DATA_DIR=empty)
        for screen, size in SCREENS.items():
            for theme in ("light", "dark"):
                context = browser.new_context(viewport=size, is_mobile=screen == "phone", has_touch=screen == "phone")
                page = context.new_page()
                page.goto(f"{app.url}?__theme={theme}&model=mnist-{'conv-32d' if theme == 'light' else 'dense-2d'}")
                page.wait_for_function("document.documentElement.dataset.ready")

                box = page.locator("#pad canvas").bounding_box()
                page.mouse.move(box["x"] + STROKE[0][0], box["y"] + STROKE[0][1])
                page.mouse.down()
                for x, y in STROKE[1:]:
                    page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
                page.mouse.up()
                shoot(page, folder / f"draw-{screen}-{theme}.png")
                page.locator("#draw-widget [data-keep=a]").click()
                page.get_by_role("tab", name="Latent map").click()
                page.locator("[data-do=manifold]").check()
                page.wait_for_timeout(500)
                box = page.locator("#map canvas").bounding_box()
                page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.65 * box["height"])
                page.locator("h1").scroll_into_view_if_needed()
                shoot(page, folder / f"map-{screen}-{theme}.png")
                page.locator("#map-widget [data-keep=b]").click()
                page.get_by_role("tab", name="Sliders").click()
                page.locator("#scrubber").fill("0.3")
                page.locator("h1").scroll_into_view_if_needed()
                shoot(page, folder / f"sliders-{screen}-{theme}.png")
                context.close()
        app.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
