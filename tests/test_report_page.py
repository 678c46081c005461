"""The page of the report: what it holds, and what its scripts do in a browser."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_reader import WEBGL, Reader, found_in_browser
from PIL import Image

from dfmvr.report.chapter import Chapter
from dfmvr.report.figures import scenes
from dfmvr.report.page import write_page
from dfmvr.report.sections import provenance
from dfmvr.report.tables.table import Column, Table, number

# --- meshes that can be turned


def _decoded(layer, name, kind, scene):
    numbers = np.frombuffer(base64.b64decode(layer[name]), kind).reshape(-1, 3)
    return scene["low"] + scene["step"] * numbers if name == "positions" else numbers


def test_a_scene_holds_the_meshes_to_the_step_of_its_grid():
    rng = np.random.default_rng(1)
    vertices, triangles = rng.normal(scale=60, size=(50, 3)), np.arange(48).reshape(16, 3)
    errors = np.linspace(0, 6, 50)
    errors[7] = np.nan
    scene = scenes.scene([scenes.Layer("a", vertices, triangles, errors)], 4.0)
    (layer,) = scene["layers"]
    assert np.abs(_decoded(layer, "positions", "<u2", scene) - vertices).max() < 0.51 * scene["step"] + 1e-4
    np.testing.assert_array_equal(_decoded(layer, "triangles", "<u2", scene), triangles)
    raw, _, known = _decoded(layer, "values", "u1", scene).T
    np.testing.assert_allclose(raw[known > 0] / 255 * 4, np.minimum(errors[known > 0], 4), atol=4 / 255)
    assert list(np.flatnonzero(known == 0)) == [7]
    json.dumps(scene)


def test_a_large_mesh_is_thinned_and_stays_in_place():
    grid = np.stack(np.meshgrid(np.linspace(-80, 80, 160), np.linspace(-80, 80, 160)), -1).reshape(-1, 2)
    vertices = np.column_stack([grid, np.sqrt(150.0**2 - (grid**2).sum(1))])
    corner = (np.arange(159)[:, None] * 160 + np.arange(159)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 160], -1), np.stack([corner + 1, corner + 161, corner + 160], -1)]
    )
    layer = scenes.thinned(scenes.Layer("a", vertices, triangles, vertices[:, 0]))
    assert scenes.TRIANGLES * 0.95 < len(layer.triangles) <= scenes.TRIANGLES
    assert np.abs(np.linalg.norm(layer.vertices, axis=1) - 150).max() < 0.2
    assert np.abs(layer.errors_mm - layer.vertices[:, 0]).max() < 2  # a few edges of 1 mm
    assert len(np.unique(layer.triangles)) == len(layer.vertices)


# --- the page


def _picture(tmp_path):
    Image.new("RGB", (30, 20), "green").save(tmp_path / "p.png")
    return (tmp_path / "p.png").read_bytes()


def _square_page(tmp_path):
    """A page with a square, its left half without error and its right half with the largest, and a table."""
    x, y = np.meshgrid(np.linspace(-50, 50, 11), np.linspace(-50, 50, 11))
    vertices = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    corner = (np.arange(10)[:, None] * 11 + np.arange(10)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 11], -1), np.stack([corner + 1, corner + 12, corner + 11], -1)]
    )
    errors = np.where(vertices[:, 0] < 0, 0.0, 4.0)
    chapter = Chapter("Square", "square", tmp_path, ("score",))
    chapter.say("`code`")
    layers = [scenes.Layer(f"</script>{i}", vertices, triangles, errors + 4 * i) for i in range(2)]
    chapter.scene(
        "Square", scenes.scene(layers, 4.0), _picture(tmp_path), "scene_figure", place="Square", rank="rank 1 of 1"
    )
    frame = pd.DataFrame({"name": ["b", "c", "a"], "value": [-1.5, np.nan, 0.25]})
    small = Column("value", lambda row: number(row["value"], 2, signed=True), ends=lambda row: "9.0 to 9.9")
    chapter.table(Table("t", "T", "C", frame, (Column("name", lambda row: row["name"], left=True), small)))
    path = tmp_path / "square.html"
    write_page(path, "L", [], [chapter])
    return path


def test_a_page_with_a_scene_is_sound_and_asks_for_nothing(tmp_path):
    text = _square_page(tmp_path).read_text(encoding="utf-8")
    reader = Reader(text)
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert not re.search(r"url\(|@import|https?://", text)
    data = re.search(r'<script type="application/json">(.*?)</script>', text, re.S)[1]
    assert [layer["name"] for layer in json.loads(data)["layers"]] == ["</script>0", "</script>1"]
    assert reader.images == ["Scan, mesh and error of DF-MVR, Square"]


def test_a_page_without_a_scene_has_no_viewer(tmp_path):
    chapters = [Chapter(name, name, tmp_path) for name in ("one", "empty")]
    for chapter in chapters:
        chapter.say("A text.")
    chapters[0].note("A note.")
    write_page(tmp_path / "p.html", "L", [], chapters)
    assert {"one"} == set(Reader((tmp_path / "p.html").read_text(encoding="utf-8")).ids)
    assert "webgl2" not in (tmp_path / "p.html").read_text(encoding="utf-8")


WATCH = """
const figure = document.querySelector("figure.scene"), canvas = figure.querySelector("canvas"), found = {};
const live = () => figure.classList.contains("live");
function row() {
  const flat = document.createElement("canvas");
  Object.assign(flat, { width: canvas.width, height: canvas.height });
  const context = flat.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, Math.round(canvas.height / 2), canvas.width, 1).data;
  const drawn = [];
  for (let x = 0; x < canvas.width; x++) {
    const colour = [...pixels.slice(4 * x, 4 * x + 3)];
    if (Math.min(...colour) < 250) drawn.push(colour);
  }
  return { width: drawn.length / canvas.width, first: drawn[3], last: drawn[drawn.length - 4] };
}
function point(type, x) {
  canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX: x, clientY: 100, bubbles: true }));
}
function sort() {
  const head = document.querySelectorAll("th")[1], button = head.querySelector("button");
  const names = () => [...document.querySelectorAll("tbody tr")].map((r) => r.cells[0].textContent).join("");
  button.click();
  found.up = names();
  button.click();
  found.down = names();
  found.sorted = head.getAttribute("aria-sort");
}
const steps = [
  () => { found.live = live(); found.message = !figure.querySelector(".without").hidden; },
  () => { if (live()) found.start = row(); },
  () => { point("pointerdown", 100); point("pointermove", 250); point("pointerup", 250); },
  () => { if (live()) found.turned = row(); document.querySelectorAll("[data-layer]")[1]?.click(); },
  () => { if (live()) found.other = row(); document.querySelector("[data-colours]")?.click(); },
  () => { if (live()) found.plain = row(); },
  sort,
  () => { document.body.dataset.found = JSON.stringify(found); },
];
steps.forEach((step, i) => setTimeout(step, 400 + 300 * i));
"""
"""Turns the square by a drag, looks at its middle row of pixels, and sorts the table."""


def test_meshes_are_drawn_turned_and_coloured_in_a_browser(tmp_path):
    found = found_in_browser(_square_page(tmp_path), WATCH, *WEBGL)
    assert found["live"]
    assert not found["message"]
    assert np.argmax(found["start"]["first"]) == 2
    assert np.argmax(found["start"]["last"]) == 0
    ratio = found["turned"]["width"] / found["start"]["width"]
    assert ratio == pytest.approx(np.cos(np.radians(60)), abs=0.06)  # 150 px turn it by 60 degrees
    assert np.argmax(found["other"]["first"]) == np.argmax(found["other"]["last"]) == 0
    assert np.ptp(found["plain"]["first"]) <= 2
    assert (found["up"], found["down"], found["sorted"]) == ("bac", "abc", "descending")


def test_without_webgl_the_picture_stays_and_a_message_tells(tmp_path):
    found = found_in_browser(_square_page(tmp_path), WATCH, "--disable-3d-apis")
    assert not found["live"]
    assert found["message"]
    assert found["up"] == "bac"


def test_steps_of_the_workflow_are_those_that_the_page_names():
    rules = Path(__file__).parents[1] / "workflow" / "rules"
    assert {f"{step}.smk" for step in provenance.FILES} <= {path.name for path in rules.glob("*.smk")}
