"""Reads a page as a browser would, for tests."""

import html.parser


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
