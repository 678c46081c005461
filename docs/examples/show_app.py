"""`python docs/examples/show_app.py LEFT FRONT RIGHT OTHER`: photograph the page of `dfmvr app`, step by step.

In     three photographs of a person, and one of another person.
Gives  docs/pictures/app/<step>_<width>.jpg, at the widths of a desk and of a telephone.

Needs playwright (the extra `test`) and Chromium.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from dfmvr.datasets.images import read_image, write_image

PICTURES = Path(__file__).parents[1] / "pictures" / "app"
WIDTHS = {"desk": 1000, "phone": 390}
HEIGHT, QUALITY, WAIT_MS = 800, 72, 600_000
FLAGS = ("--no-sandbox", "--disable-quic", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def photograph(page: Page, name: str) -> None:
    """Write what a page shows, from its top to its end."""
    page.screenshot(path=PICTURES / f"{name}.jpg", full_page=True, type="jpeg", quality=QUALITY)


def open_page(browser: Browser, address: str, width: int, light: str) -> Page:
    """A page of its own, in light or dark."""
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=light)
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.locator("body[data-state=idle]").wait_for()
    return page


def give(page: Page, photos: list[Path]) -> None:
    """Choose files, and wait until they have been looked at."""
    page.set_input_files("#files", photos)
    page.locator("#photographs li").nth(len(photos) - 1).wait_for()
    page.locator("body[data-state=idle]").wait_for()


def walk(browser: Browser, address: str, photos: list[Path], place: str) -> None:
    """From the empty page to a face."""
    page = open_page(browser, address, WIDTHS[place], "light")
    photograph(page, f"empty_{place}")
    give(page, photos)
    photograph(page, f"dropped_{place}")
    page.locator("#start").click()
    page.get_by_text("step 3 of 6").wait_for()
    photograph(page, f"making_{place}")
    page.get_by_text("The face is ready.").wait_for()
    page.locator("#viewer").scroll_into_view_if_needed()
    viewer = page.frame_locator("#viewer")
    viewer.locator("body[data-ready]").wait_for(state="attached")
    viewer.locator('[data-yaw="-45"]').click()
    viewer.locator('[data-yaw="-45"][aria-pressed=true]').wait_for()
    photograph(page, f"result_{place}")
    page.close()


def show_problems(browser: Browser, address: str, photos: list[Path], place: str) -> None:
    """A photograph with two faces, a damaged file, one without a face; the views told by the person; in the dark."""
    page = open_page(browser, address, WIDTHS[place], "dark")
    give(page, photos)
    page.locator("summary").click()
    page.get_by_label("I tell").check()
    photograph(page, f"problems_{place}")
    page.close()


def make_problems(folder: Path, front: Path, other: Path) -> list[Path]:
    """Files as people have them."""
    pair = [read_image(path) for path in (front, other)]
    height = min(len(one) for one in pair)
    pair = [cv2.resize(one, (one.shape[1] * height // len(one), height)) for one in pair]
    write_image(folder / "both.jpg", np.hstack(pair))
    write_image(folder / "wall.jpg", np.tile(np.linspace(90, 160, 400).astype(np.uint8)[:, None, None], (1, 500, 3)))
    (folder / "damaged.jpg").write_bytes(front.read_bytes()[:2000])
    return [folder / name for name in ("both.jpg", "damaged.jpg", "wall.jpg")]


def main(photos: list[Path]) -> None:
    """Start the program, take all pictures, end it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dfmvr", "app", "--no-browser"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as app:
        try:
            address, problems = app.stderr.readline().split()[0], make_problems(Path(folder), photos[1], photos[3])
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
                for place in WIDTHS:
                    walk(browser, address, photos[:3], place)
                    show_problems(browser, address, problems, place)
                browser.close()
        finally:
            app.terminate()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main([Path(name) for name in sys.argv[1:]])
