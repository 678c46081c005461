"""`python docs/examples/show_avatar.py VIEWER FOLDER`: photograph the head on a page, with several expressions.

In     viewer.html, which `dfmvr reconstruct --avatar --viewer` writes.
Gives  avatar.jpg: as in the photograph, at rest, with a smile, with its jaw open; avatar_page.jpg, the page itself.

Needs playwright (the extra `test`) and Chromium.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

SIZE, PANEL = {"width": 900, "height": 640}, (360, 470)
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SMILING = {"mouthSmile": 0.8, "mouthUpperUp": 0.3, "cheekSquint": 0.5}
SMILE = {name + side: value for name, value in SMILING.items() for side in ("Left", "Right")}
EXPRESSIONS = ((0, None), (0, {}), (25, SMILE), (-25, {"jawOpen": 0.8}))
"""Where one looks from, degrees, and strengths of actions; None: the photograph's."""

SET = "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }"


def panel(page: Page, address: str, yaw: int, strengths: dict[str, float] | None) -> Image.Image:
    """The head, from one side, with one expression."""
    page.goto(f"{address}?yaw={yaw}")
    page.locator("body[data-ready]").wait_for(state="attached")
    if strengths is not None:
        page.click("[data-neutral]")
    for name, value in (strengths or {}).items():
        page.eval_on_selector(f"[data-action={name}]", SET, value)
    page.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    image = Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB")
    pixels = np.asarray(image).astype(int)
    row, column = np.nonzero(np.abs(pixels - pixels[0, 0]).max(-1) > 12)
    middle, height = (column.min() + column.max()) / 2, row.max() - row.min()
    half = height * PANEL[0] / PANEL[1] / 2
    box = [middle - 1.08 * half, row.min() - 0.04 * height, middle + 1.08 * half, row.max() + 0.04 * height]
    return image.resize(PANEL, Image.Resampling.LANCZOS, box)


def show_page(page: Page, path: Path) -> None:
    """The page with its sliders, the last expression on it."""
    for group in ("Eyes", "Jaw"):  # the one closes, the other opens
        page.get_by_text(group, exact=True).click()
    page.screenshot(path=path, type="jpeg", quality=80)


def main(viewer: Path, folder: Path) -> None:
    """Open the page, put pictures of the head side by side, and take the page."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5)
        panels = [panel(page, viewer.resolve().as_uri(), *shown) for shown in EXPRESSIONS]
        show_page(page, folder / "avatar_page.jpg")
        browser.close()
    picture = Image.new("RGB", (len(panels) * PANEL[0], PANEL[1]))
    for place, one in enumerate(panels):
        picture.paste(one, (place * PANEL[0], 0))
    picture.save(folder / "avatar.jpg", quality=85)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
