"""The page of an avatar in a browser: its sliders, by mouse and by keys, and what it asks of the network."""

import io

import numpy as np
import pytest
from in_three import in_browser
from npm_modules import npm_module, serious_faults
from page_reader import WEBGL, Reader
from PIL import Image
from toy_avatar import NAMES, toy_avatar

from dfmvr.assets.files import asset
from dfmvr.assets.shipped import SHIPPED
from dfmvr.face_model.packed import read_model
from dfmvr.reconstruct.avatar.glb import Paint
from dfmvr.reconstruct.avatar.shown import shown_avatar
from dfmvr.reconstruct.export.viewer import groups_of, write_viewer

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    avatar, path = toy_avatar(), tmp_path_factory.mktemp("page") / "viewer.html"
    paints = {part.name: Paint(IMAGE if part.name == "head" else None, (0.5, 0.5, 0.5)) for part in avatar.parts}
    paints["head"] = Paint(IMAGE)
    write_viewer(path, *shown_avatar(avatar, paints), "A toy")
    return path


@pytest.fixture(scope="module")
def page(page_file):
    with in_browser(*WEBGL, size=(1000, 600)) as page:
        page.asked, page.failures = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.failures.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_selector("body[data-ready]", state="attached")
        yield page


def picture(page):
    """What the canvas shows, once it has been drawn anew."""
    page.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    return np.array(Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB")).astype(int)


VALUES = "(sliders) => sliders.map((slider) => [slider.dataset.action, Number(slider.value)])"
MOVE = "(slider) => { slider.value = 1; slider.dispatchEvent(new Event('input')); }"
LABELS = "(labels) => labels.map((label) => label.textContent.trim().replace(/[0-9.]+$/, ''))"


def values(page):
    """Names and values of the sliders."""
    return dict(map(tuple, page.eval_on_selector_all("[data-action]", VALUES)))


def test_every_action_has_a_slider_with_a_label_in_its_group(page, page_file):
    Reader(page_file.read_text(encoding="utf-8"))
    assert sorted(values(page)) == sorted(NAMES)
    groups = page.query_selector_all("details")
    names = [group.query_selector("summary").text_content() for group in groups]
    found = dict(zip(names, [group.eval_on_selector_all("label", LABELS) for group in groups], strict=True))
    assert found == {
        "Eyes": ["Eye blink left"],
        "Jaw": ["Jaw open"],
        "Mouth": ["Mouth smile left"],
        "Tongue": ["Tongue out"],
    }


def test_all_of_arkits_names_have_a_group():
    names = dict.fromkeys(read_model(asset(SHIPPED["face_model"])).action_names, 0.0)
    assert len(names) == 52
    assert sorted(name for group in groups_of(names).values() for name, _ in group) == sorted(names)


def test_it_begins_with_the_photographs_expression(page):
    assert values(page) == toy_avatar().weights
    assert page.get_attribute("[data-expression]", "aria-pressed") == "true"
    page.click("[data-neutral]")
    assert set(values(page).values()) == {0}
    page.click("[data-expression]")
    assert values(page) == toy_avatar().weights


def test_sliders_move_the_face_by_keys_alone(page):
    page.click("[data-neutral]")
    still = picture(page)
    for group in page.query_selector_all("details:not([open]) summary"):
        group.focus()
        page.keyboard.press("Enter")
    page.focus("[data-action=jawOpen]")
    page.keyboard.press("End")
    assert values(page)["jawOpen"] == 1
    changed = np.abs(picture(page) - still).max(-1) > 20
    row, column = np.nonzero(changed)
    assert changed.mean() > 0.005
    assert (row > 0.5 * len(still)).mean() > 0.9  # the toy's jaw is below the middle
    assert abs(column.mean() - still.shape[1] / 2) < 0.03 * still.shape[1]
    assert page.text_content("[data-action=jawOpen] + output") == "1.00"
    page.keyboard.press("Home")
    assert (picture(page) == still).all()


def test_eyes_and_corners_of_the_mouth_move_on_their_own_side(page):
    page.click("[data-neutral]")
    still = picture(page)
    for name in ("mouthSmileLeft", "eyeBlinkLeft"):
        page.eval_on_selector(f"[data-action={name}]", MOVE)
        row, column = np.nonzero(np.abs(picture(page) - still).max(-1) > 20)
        assert len(row) > 50
        assert (column > still.shape[1] / 2).mean() > 0.8
        page.click("[data-neutral]")


def test_nothing_is_asked_of_a_network(page, page_file):
    assert {url for url in page.asked if not url.startswith("data:")} == {page_file.as_uri()}
    assert page.failures == []


def test_it_is_dark_where_a_reader_wants_that(page):
    page.click("[data-neutral]")
    light = picture(page)
    page.emulate_media(color_scheme="dark")
    try:
        dark = picture(page)
        page.evaluate((npm_module("axe-core") / "axe.min.js").read_text(encoding="utf-8"))
        faults = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    finally:
        page.emulate_media(color_scheme="light")
    ground = (light == light[0, 0]).all(-1)
    assert ground.mean() > 0.3
    assert (light[ground] > 230).all()
    assert (dark[ground] < 60).all()
    # the face is the same
    face = np.abs(light - light[0, 0]).max(-1) > 60
    assert face.mean() > 0.02
    assert np.abs(dark - light)[face].mean() < 6
    assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def test_axe_finds_no_serious_fault(page_file):
    assert serious_faults(page_file) == []
