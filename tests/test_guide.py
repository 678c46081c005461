"""The guide: README on one screen, recipes that run, a site that is built strictly and asks for nothing but files."""

import html.parser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
import yaml
from analytic_face import face
from guide_pages import ROOT, blocks, run
from in_three import in_browser
from npm_modules import serious_faults
from numpy.testing import assert_allclose, assert_array_equal
from toy_model import toy_model
from toy_study import write_study

from dfmvr.cli import COMMANDS, command_parser
from dfmvr.config.configuration import Config, load
from dfmvr.config.data import FaceModelSection, PixelFaceData
from dfmvr.conventions import DROPPED_FROM_106
from dfmvr.datasets.pixel_face.dataset import PixelFace
from dfmvr.files import write_npz
from dfmvr.report import captions
from dfmvr.report.context import read_context

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
ELSEWHERE = ("http:", "https:", "mailto:", "//")


def links_of(path):
    """Where a page of Markdown leads, without what is elsewhere."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(ELSEWHERE)]


# The pages as they are written


def test_readme_is_one_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_where_pages_are_read_as_they_are(page):
    places = [(ROOT / page).parent / urldefrag(link).url for link in links_of(ROOT / page) if not link.startswith("#")]
    made = ROOT / "docs" / "reference" / "api"  # by the build
    assert [place for place in places if not place.exists() and made not in place.parents] == []
    of_guide = {place.resolve() for place in places if place.suffix == ".md" and page != "README.md"}
    assert {place for place in of_guide if ROOT / "docs" not in place.parents} == set()  # pages have none of those


def test_every_page_is_reached_from_readme():
    told, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        told.add(page)
        next_ones = {(page.parent / urldefrag(link).url).resolve() for link in links_of(page)}
        waiting += [one for one in next_ones - told - set(waiting) if one.suffix == ".md" and one.is_file()]
    assert set((ROOT / "docs").glob("*.md")) <= told


def test_every_command_in_the_pages_is_one():
    commands, read = {command.name: command for command in COMMANDS}, 0
    for page in PAGES:
        lines = "".join(blocks(page, "")).replace("\\\n", " ").splitlines()
        for words in (shlex.split(line, comments=True) for line in lines if re.match(r"(\.venv/bin/)?dfmvr ", line)):
            name = max((name for name in commands if words[1:][: name.count(" ") + 1] == name.split()), key=len)
            given = words[2 + name.count(" ") :]
            if given != ["--help"]:
                command_parser(commands[name]).parse_args(given)  # which exits where it does not know an option
                read += 1
    assert read > 10


# Its recipes


def test_a_variant_of_ones_own_is_trained_and_tested(tmp_path):
    (text,) = (block for block in blocks("docs/extending.md", "yaml") if "variants:" in block)
    (tmp_path / "wide.yaml").write_text(text, encoding="utf-8")
    study = load(tmp_path / "wide.yaml")
    assert study.variant("dfmvr_wide").network.width == 2 * study.variant("dfmvr").network.width
    assert study.trained_on() == {"dfmvr": "pixel_face", "dfmvr_wide": "pixel_face"}


def test_a_face_model_of_ones_own_has_its_shapes_in_mm(tmp_path):
    model = toy_model()
    arrays = model.arrays()
    files = {"mean": arrays["mean"] / 10, "shapes": arrays["identity"] / 10, "smiles": arrays["expression"] / 10}
    write_npz(tmp_path / "mine.npz", **files, faces=arrays["triangles"], marks=arrays["landmarks_68"])
    settings = FaceModelSection(folder=tmp_path / "mine.npz", identity_components=4, albedo_components=3)
    mine, _ = run("docs/extending.md", "build")["build"](settings, model)
    assert (mine.identity_size, mine.expression_size, mine.texture_size) == (4, model.expression_size, 3)
    assert_allclose(mine.mean, model.mean - model.mean.mean(0), atol=1e-4)
    assert_allclose(mine.identity_basis, model.identity_basis[:4], atol=1e-4)
    assert_allclose(mine.albedo_basis, model.albedo_basis[:3], atol=1e-6)
    assert_array_equal(mine.labels, model.labels)


def test_a_figure_of_ones_own_is_drawn_and_written(tmp_path, monkeypatch):
    (text,) = (block for block in blocks("docs/extending.md", "yaml") if "my_spread:" in block)
    for name, said in yaml.safe_load(text).items():
        monkeypatch.setitem(captions._captions(), name, said)
    write_study(tmp_path, {"pixel_face": ("mean_face", "dfmvr", "floor")}, subjects=4)
    chapter = run("docs/extending.md", "spread")["spread_chapter"](
        read_context(tmp_path, Config(), tmp_path / "tables")
    )
    assert [part["kind"] for part in chapter.parts] == ["figure"]
    drawn = (tmp_path / "tables" / "figures" / "my_spread_pixel_face.svg").read_text(encoding="utf-8")
    assert drawn.count("<path") > 20  # bars


def test_a_study_of_ones_own_data_trains_what_it_tests(tmp_path):
    (text,) = (block for block in blocks("docs/data.md", "yaml") if "tests:" in block)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    study = load(tmp_path / "mine.yaml")
    assert study.trained_on() == {"dfmvr": "pixel_face"}
    assert study.supplied("pixel_face") == [Path("/data/mine")]


def test_a_data_set_of_ones_own_is_read_as_pixel_face(tmp_path):
    vertices, triangles, _ = face(30)
    photos = [np.full((48, 40, 3), grey, np.uint8) for grey in (60, 120, 180)]
    person = {"split": "test", "photos": photos, "vertices": vertices, "triangles": triangles}
    people = [{"subject": "ann", "landmarks": vertices[:106], **person}]
    people.append({"subject": "bea", "landmarks": None, **person, "split": "train"})
    run("docs/data.md", "write_dataset")["write_dataset"](tmp_path, people)
    read = PixelFace(tmp_path, PixelFaceData())
    train, test = read.samples()
    assert (train.subject, train.split, test.subject, test.split) == ("bea", "train", "ann", "test")
    assert [round(read.read_photo(path).mean()) for path in test.photos] == [60, 120, 180]
    assert_allclose(read.read_scan(test.scan).scan_vertices, vertices, atol=1e-3)
    assert_array_equal(read.read_scan(test.scan).scan_triangles, triangles)
    expected = np.delete(vertices[:106], DROPPED_FROM_106, axis=0)
    assert_allclose(read.read_landmarks_101(test.scan), expected, atol=1e-3)
    assert read.read_landmarks_101(train.scan) is None


# The site


def built(root):
    """The folder of the site, built as `make docs` does."""
    pytest.importorskip("sphinx")
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("api", "__pycache__"))
    for name in os.listdir(ROOT):
        if not (root / name).exists():
            (root / name).symlink_to(ROOT / name)
    strictly = ("--quiet", "--nitpicky", "--fail-on-warning", "--keep-going")
    command = [sys.executable, "-m", "sphinx", *strictly, "-d", root / "cache", root / "docs", root / "built"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    return root / "built"


class Page(html.parser.HTMLParser):
    """What a page loads, where it leads, and the places that it has."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.leads, self.places = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = {key: value or "" for key, value in attrs}
        self.places |= {attrs[key] for key in ("id", "name") if key in attrs}
        loads = tag in ("script", "img", "iframe", "source", "video", "audio") or (
            tag == "link" and attrs.get("rel") not in ("next", "prev", "index", "search", "canonical")
        )
        found = [attrs[key] for key in ("src", "href") if key in attrs]
        (self.loads if loads else self.leads).extend(found)


def every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 40
    wrong = []
    for path, page in pages.items():
        wrong += [(path.name, link) for link in page.loads if link.startswith(("http:", "https:", "//"))]
        for link in (one for one in (*page.loads, *page.leads) if not one.startswith((*ELSEWHERE, "data:"))):
            url, place = urldefrag(link)
            target = (path.parent / unquote(url.partition("?")[0])).resolve() if url else path
            if not target.exists() or (place and target in pages and unquote(place) not in pages[target].places):
                wrong.append((path.name, link))
    assert wrong == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:|//)[^)]*", styles) == []


def every_module_has_its_place_in_the_api(site):
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference" / "api").glob("*.html"))
    modules = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "dfmvr").rglob("*.py")]
    names = {".".join(path.parts).removesuffix(".__init__") for path in modules}
    assert {name for name in names if not name.endswith("__main__") and f'id="module-{name}"' not in text} == set()
    assert "millimetres, x to the viewer" in text
    assert "(V,) mm along the normals" in text  # from a comment beside a field


def pages_ask_for_nothing_but_files_and_are_searched_without_a_network(site):
    asked = []
    with in_browser() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "photographs.html").as_uri())
        page.get_by_placeholder("Search").press_sequentially("silhouette\n")
        page.locator('#search-results a[href^="beyond.html"]').first.wait_for()  # results come one by one
    assert len(asked) > 10
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def pages_have_no_serious_fault_of_access(site):
    for page, size in {"index.html": "1280,900", "photographs.html": "500,900"}.items():
        assert serious_faults(site / page, size) == [], page


CHECKS = (
    every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere,
    every_module_has_its_place_in_the_api,
    pages_ask_for_nothing_but_files_and_are_searched_without_a_network,
    pages_have_no_serious_fault_of_access,
)


@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path, subtests):
    """In one test, as the tests of a module may run in several processes, and each would build it."""
    site = built(tmp_path)
    for check in CHECKS:
        with subtests.test(check.__name__.replace("_", " ")):
            check(site)
