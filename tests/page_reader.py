"""Reads a page as a browser would, or in one, for tests."""

import html
import html.parser
import json
import re
import shutil
import subprocess

import pytest

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Flags by which the browser draws without a graphics card."""


class Reader(html.parser.HTMLParser):
    """Collects what a browser would load, and checks that elements are closed in order."""

    VOID = frozenset(("meta", "link", "img", "br", "hr", "input"))

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.ids, self.images = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[key] for key in ("src", "href", "srcset", "data") if key in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img" and "src" in attrs:
            self.images.append(attrs.get("alt", ""))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def installed_browser():
    """The path of this machine's Chromium; skips the test where there is none."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    return browser


def found_in_browser(path, script, *flags, size="900,900"):
    """Open a copy of a page with a script in a browser; gives what the script leaves in the body's `data-found`."""
    browser = installed_browser()
    at_once = "window.requestAnimationFrame = (draw) => setTimeout(draw, 0);"  # no frames come in virtual time
    text = path.read_text(encoding="utf-8").replace("</head>", f"<script>{at_once}</script></head>")
    watched = path.with_name(f"watched_{path.name}")
    watched.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [browser, "--headless=new", "--no-sandbox", f"--user-data-dir={path.parent / 'profile'}"]
    command += [f"--window-size={size}", *flags, "--virtual-time-budget=8000", "--dump-dom", watched.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
