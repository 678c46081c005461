"""The page of `dfmvr app` in a browser: drop, choose, swap, make, turn, take, cancel; by keyboard, in any light."""

import base64
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from in_three import in_browser
from npm_modules import npm_module
from page_reader import WEBGL
from real_photographs import hopper
from running_app import WAIT, RunningApp
from test_app import png
from test_which_face import two_people

from dfmvr import cli
from dfmvr.geometry.meshes import read_mesh

QUIET = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
FILES = """files => {
  const held = new DataTransfer();
  for (const [name, text] of files) {
    held.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
  }
  return held;
}"""


PASTE = (
    """clipboardData => document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }))"""
)

COUNT_CHOICES = """() => {
  window.choices = 0;
  document.getElementById("files").addEventListener("click", (event) => {
    event.preventDefault();  // the system's own window for files is not the page's
    window.choices += 1;
  });
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    running = RunningApp(tmp_path_factory.mktemp("temporary"))
    yield running
    assert running.end() == 0


@pytest.fixture(scope="module")
def browser():
    with in_browser("--disable-sync", *QUIET, *WEBGL) as page:
        yield page.context.browser


@pytest.fixture
def opened(app, browser):
    """Opens a page of a person of their own; all that their pages ask for is asked of this program."""
    contexts, asked, said = [], [], []

    def open_page(**how):
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}} | how)
        context.set_default_timeout(1000 * WAIT)
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda message: said.append(message.text))
        context.on("weberror", lambda error: said.append(str(error.error)))
        contexts.append(context)
        page = context.new_page()
        page.goto(app.address)
        page.locator("body[data-state=idle]").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked
    assert {(urlsplit(url).scheme, urlsplit(url).netloc) for url in asked} == {("http", app.host)}
    assert [text for text in said if "Failed to load resource" not in text and "GPU stall" not in text] == []


@pytest.fixture(scope="module")
def person():
    return cv2.resize(hopper(), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)


def files_of(page, photos):
    given = [[name, base64.b64encode(content).decode()] for name, content in photos.items()]
    return page.evaluate_handle(FILES, given)


def drop(page, photos):
    """Drop files on the page, and wait until they have been looked at."""
    before = page.locator("#photographs li").count()
    page.locator("body").dispatch_event("drop", {"dataTransfer": files_of(page, photos)})
    page.locator("#photographs li").nth(before + len(photos) - 1).wait_for()
    page.locator("body[data-state=idle]").wait_for()


def make(page, *options):
    if options:
        page.locator("summary").click()
    for option in options:
        page.locator(f"#{option}").check()
    page.locator("#start").click()


def taken(page, name):
    with page.expect_download() as waited:
        page.locator(f'[data-file="{name}"]').click()
    assert waited.value.suggested_filename == name
    return Path(waited.value.path()).read_bytes()


def check_accessible(page):
    """No finding of axe-core, however small; it looks at contrasts, names, roles and order."""
    page.evaluate((npm_module("axe-core") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {iframes: false}).then((found) => found.violations)")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.slow
def test_photographs_are_dropped_and_a_face_is_made_turned_and_taken(opened, person, tmp_path):
    page = opened()
    photos = {"one.png": png(person), "two.png": png(person[:, ::-1])}
    drop(page, photos)
    assert page.locator("#photographs svg ellipse").count() == 2 * 68
    page.locator("#start").click()
    page.get_by_text(re.compile(r"Fitting the face to the photographs, step [1-6] of 6")).wait_for()
    page.get_by_text("The face is ready.").wait_for()
    assert page.evaluate("document.activeElement.id") == "of-result"
    for name, content in photos.items():
        (tmp_path / name).write_bytes(content)
    assert cli.main(["reconstruct", *(str(tmp_path / name) for name in photos), "-o", str(tmp_path / "face")]) == 0
    (tmp_path / "taken.glb").write_bytes(taken(page, "face.glb"))
    ours, commands = read_mesh(tmp_path / "taken.glb"), read_mesh(tmp_path / "face" / "face.glb")
    assert ours.vertices == pytest.approx(commands.vertices, abs=1e-3)
    assert np.array_equal(ours.triangles, commands.triangles)
    for name in ("face_obj.zip", "face.ply", "face.json", "face.zip"):
        assert len(taken(page, name)) > 1000
    page.locator("#viewer").scroll_into_view_if_needed()
    viewer = page.frame_locator("#viewer")
    viewer.locator("body[data-ready=texture]").wait_for(state="attached")
    canvas = viewer.locator("canvas")
    before = canvas.screenshot()
    canvas.press("ArrowRight")
    for _ in range(8):
        canvas.press("ArrowRight")
    viewer.locator('[data-yaw="45"][aria-pressed=true]').wait_for()
    assert canvas.screenshot() != before
    page.reload()
    page.locator("body[data-state=idle]").wait_for()
    assert page.locator("#photographs li").count() == 2  # kept
    page.locator("#result").wait_for()


def test_bad_photographs_are_told_and_nothing_else_is_lost(opened, person):
    page = opened()
    bad = {"cut.png": png(person)[:5000], "grey.png": png(np.full((60, 60, 3), 128, np.uint8))}
    drop(page, bad)
    told = page.locator("#photographs .problem").all_text_contents()
    assert told[0].startswith("cut.png: not a readable image (")
    assert told[1].startswith("grey.png: no face found; use a photograph in which the face is larger")
    assert page.locator("#start").is_disabled()
    drop(page, {"good.png": png(person)})
    check_accessible(page)
    make(page, "fast")
    page.get_by_text("The face is ready.").wait_for()
    assert page.locator("#notes li").all_text_contents() == [f"left out: {one}" for one in told]
    check_accessible(page)


def test_a_face_is_chosen_of_several(opened):
    page = opened()
    both, width = two_people()
    drop(page, {"both.png": png(both)})
    faces = page.get_by_role("button", name=re.compile("Face [12] of 2 in both.png"))
    assert faces.count() == 2

    def marked():
        return np.mean([float(one.get_attribute("cx")) for one in page.locator("svg ellipse").all()])

    assert marked() * both.shape[1] > width
    faces.nth(1).press("Enter")
    page.locator('button[aria-label^="Face 2"][aria-pressed=true]').wait_for()
    assert marked() * both.shape[1] < width
    assert "number 2 by size is taken" in page.locator(".of-view").text_content()
    check_accessible(page)


def test_who_takes_a_view_gives_their_own(opened, person):
    page = opened()
    drop(page, {"wide.png": png(person), "mirrored.png": png(person[:-8, ::-1])})
    page.get_by_label("I tell").check()
    views = {name: page.get_by_label(f"View of {name}") for name in ("wide.png", "mirrored.png")}
    was = {name: select.input_value() for name, select in views.items()}
    assert len({*was.values()}) == 2
    views["wide.png"].select_option(was["mirrored.png"])
    assert views["mirrored.png"].input_value() == was["wide.png"]
    check_accessible(page)
    make(page, "fast")
    page.get_by_text("The face is ready.").wait_for()
    heights = {one["name"]: one["photo"]["height"] for one in json.loads(taken(page, "face.json"))["views"]}
    told = {was["mirrored.png"]: len(person), was["wide.png"]: len(person) - 8}
    notes = " ".join(page.locator("#notes li").all_text_contents())
    assert heights == told or "wrong way round" in notes


def test_two_at_once_do_not_mix_and_one_waits_for_the_other(opened, person):
    first, second = opened(), opened()
    drop(first, {"first.png": png(person)})
    drop(second, {"second.png": png(person[20:-30])})
    first.locator("#start").click()
    make(second, "fast")
    second.get_by_text("Waiting: 1 face comes first").wait_for()
    for page in (first, second):
        page.get_by_text("The face is ready.").wait_for()
    heights = [json.loads(taken(page, "face.json"))["views"][0]["photo"]["height"] for page in (first, second)]
    assert heights == [len(person), len(person) - 50]
    assert first.locator(".name").all_text_contents() == ["first.png"]


def test_what_is_being_made_can_be_cancelled(opened, person):
    page = opened()
    shown = (person, person[:, ::-1], person[8:], person[8:, ::-1])  # several, so that the fit takes its time
    drop(page, {f"{number}.png": png(photo) for number, photo in enumerate(shown)})
    page.locator("#start").click()
    page.get_by_text("Fitting").wait_for()
    page.locator("#cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    assert page.locator("#result").is_hidden()
    assert page.locator("#start").is_enabled()


def test_photographs_are_pasted(opened, person):
    page = opened()
    files_of(page, {"pasted.png": png(person)}).evaluate(PASTE)
    page.locator("#photographs li").wait_for()
    assert page.locator(".name").all_text_contents() == ["pasted.png"]


def test_the_keyboard_is_enough(opened, person, tmp_path):
    page = opened()
    (tmp_path / "one.png").write_bytes(png(person))
    order = []

    def tab_to(selector):
        for _ in range(20):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
            if page.locator(selector).evaluate("(one) => one === document.activeElement"):
                seen = page.locator(selector).evaluate("(one) => [getComputedStyle(one).outlineStyle, one.offsetWidth]")
                assert seen[0] == "solid"
                return
        pytest.fail(f"no way to {selector}: {order}")

    tab_to("#choose")
    page.evaluate(COUNT_CHOICES)
    for number, key in enumerate(("Space", "Enter"), 1):
        page.keyboard.press(key)
        page.wait_for_function("number => window.choices === number", arg=number)
    page.locator("#files").set_input_files(tmp_path / "one.png")
    page.locator("#photographs li").wait_for()
    page.locator("body[data-state=idle]").wait_for()
    tab_to("summary")
    page.keyboard.press("Enter")
    tab_to("#fast")
    page.keyboard.press("Space")
    tab_to("#start")
    page.keyboard.press("Enter")
    page.get_by_text("The face is ready.").wait_for()
    assert page.evaluate("document.activeElement.id") == "of-result"
    assert page.locator("#fast").is_checked()
    page.frame_locator("#viewer").locator("body[data-ready]").wait_for(state="attached")  # until then Tab goes past it
    page.keyboard.press("Tab")
    page.frame_locator("#viewer").locator("canvas:focus-visible").wait_for()
    page.locator("#photographs .small").focus()
    page.keyboard.press("Enter")
    page.locator("#photographs li").wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == "choose"


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 390])
def test_the_page_is_accessible_in_any_light_and_width(opened, person, light, width):
    page = opened(color_scheme=light, viewport={"width": width, "height": 844})
    check_accessible(page)
    drop(page, {"one.png": png(person), "no.png": b"no picture"})
    page.locator("summary").click()
    page.get_by_label("I tell").check()
    page.evaluate("scrollTo(0, 0)")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
