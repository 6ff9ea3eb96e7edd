"""Make README's pictures: each tab, wide and on a phone, light and dark, a short GIF of a drawing, and prior draws.

    python tests/tools/screenshots.py FOLDER

MNIST is hidden from the app, so that none of its images gets into a picture.
"""

from __future__ import annotations

import io
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import paths  # noqa: F401
import torch
from matplotlib.figure import Figure
from PIL import Image
from support import App, open_browser, returning

from hfvae import generate, load

SCREENS = {"wide": {"width": 1240, "height": 860}, "phone": {"width": 390, "height": 844}}
STROKE = [(90, 80), (150, 60), (190, 95), (130, 135), (195, 180), (150, 225), (85, 205)]


def shoot(page: Any, path: Path) -> None:
    page.wait_for_timeout(2500)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)  # a third of the bytes


def visit(browser: Any, url: str, size: dict[str, int], phone: bool = False) -> Any:
    """A page that shows nothing by itself."""
    page = returning(browser.new_context(viewport=size, is_mobile=phone, has_touch=phone).new_page())
    page.goto(url)
    page.wait_for_function("document.documentElement.dataset.ready")
    return page


def film(browser: Any, url: str, path: Path) -> None:
    """A three is drawn, and the images follow."""
    page = visit(browser, url, {"width": 1240, "height": 560})
    box = page.locator("#pad canvas").bounding_box()
    frames = []

    def take() -> None:
        picture = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": 1240, "height": 480})))
        frames.append(picture.convert("RGB").resize((775, 300), Image.Resampling.LANCZOS))

    take()
    page.mouse.move(box["x"] + STROKE[0][0], box["y"] + STROKE[0][1])
    page.mouse.down()
    for (x, y), (to_x, to_y) in pairwise(STROKE):
        for step in range(1, 5):
            page.mouse.move(box["x"] + x + step * (to_x - x) / 4, box["y"] + y + step * (to_y - y) / 4)
            page.wait_for_timeout(120)
            take()
    page.mouse.up()
    page.wait_for_timeout(500)
    page.wait_for_function("!('pending' in document.documentElement.dataset)")
    take()
    palette = frames[-1].quantize(128, Image.Quantize.MAXCOVERAGE)  # rare colours too; the last frame has them all
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=[90] * (len(frames) - 1) + [2000], loop=0)
    page.context.close()


def prior_draws(path: Path, rows: int = 6, columns: int = 12) -> None:
    """What the bundled decoder makes of draws from N(0, I), and of draws from the prior that was learned with it."""
    vae = load("mnist-conv-32d", device="cpu")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(rows * columns, vae.latent_dim, generator=generator)
    learned = generate(vae, rows * columns, generator=generator)
    figure = Figure(figsize=(columns, rows / 2 + 0.4), layout="constrained")
    drawn = {"z from N(0, I)": generate(vae, z=noise), "z from the learned prior": learned}
    for axis, (title, images) in zip(figure.subplots(1, 2), drawn.items(), strict=True):
        grid = images.view(rows, columns, 28, 28).transpose(1, 2).reshape(rows * 28, columns * 28)
        axis.imshow(grid.numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=11)
        axis.set_axis_off()
    figure.savefig(path, dpi=90)
    Image.open(path).convert("L").save(path, optimize=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    prior_draws(folder / "prior.png")
    with tempfile.TemporaryDirectory() as empty, open_browser() as browser:
        app = App(Path(empty) / "log", HFVAE_DATA_DIR=empty)
        for screen, size in SCREENS.items():
            for theme in ("light", "dark"):
                model = "mnist-conv-32d" if theme == "light" else "mnist-dense-2d"
                page = visit(browser, f"{app.url}?__theme={theme}&model={model}", size, screen == "phone")
                box = page.locator("#pad canvas").bounding_box()
                scale = box["width"] / 280
                page.mouse.move(box["x"] + scale * STROKE[0][0], box["y"] + scale * STROKE[0][1])
                page.mouse.down()
                for x, y in STROKE[1:]:
                    page.mouse.move(box["x"] + scale * x, box["y"] + scale * y, steps=4)
                page.mouse.up()
                shoot(page, folder / f"draw-{screen}-{theme}.png")
                page.locator("#draw-widget [data-keep=a]").click()
                page.get_by_role("tab", name="Latent map").click()
                page.locator("[data-do=manifold]").check()
                page.wait_for_timeout(500)
                box = page.locator("#map canvas").bounding_box()
                page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.65 * box["height"])
                page.locator("#model").scroll_into_view_if_needed()
                shoot(page, folder / f"map-{screen}-{theme}.png")
                page.locator("#map-widget [data-keep=b]").click()
                page.get_by_role("tab", name="Sliders").click()
                page.locator("#scrubber").fill("0.3")
                page.locator("#model").scroll_into_view_if_needed()
                shoot(page, folder / f"sliders-{screen}-{theme}.png")
                if screen == "wide":
                    page.get_by_role("tab", name="Compare").click()
                    shoot(page, folder / f"compare-{screen}-{theme}.png")
                page.context.close()
        film(browser, app.url, folder / "drawing.gif")
        app.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
