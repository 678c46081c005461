"""What pages are put together from: templates, and values, numbers and pictures written into them.

`scene.js` turns meshes on a canvas. A page that shows some sets it before the page's own script. `colours.css` names
the colours of the pages that faces are made and seen on, light and dark; they set it before their own style.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from dfmvr.files import writing

Markup = jinja2.utils.markupsafe.Markup

_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg", b"\xff\xd8\xff\xe1": "jpeg", b"RIFF": "webp"}
_TYPES |= {b"<?xm": "svg+xml", b"<svg": "svg+xml"}


def shared(name: str) -> Markup:
    """`scene.js` or `colours.css`."""
    return Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


class Templates:
    """The folder `templates` of a package."""

    def __init__(self, package: str) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader(package),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def part(self, name: str) -> Markup:
        """A file as it is, for the style and the scripts of a page."""
        return Markup(self._environment.loader.get_source(self._environment, name)[0])

    def write(self, path: Path, name: str, **values: Any) -> None:
        """Write the page that a template makes of values; text that is not `Markup` is escaped.

        Raises:
            OutputError: the file cannot be written.
        """
        page = self._environment.get_template(name).render(**values)
        with writing(path) as partial:
            partial.write_text(page, encoding="utf-8")


def held_json(value: Any) -> Markup:
    """A value as JSON for a script element, which ends at the first `</`."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def held_numbers(values: np.ndarray, kind: type[np.generic]) -> str:
    """Numbers, rounded to whole ones of `kind`, as base64 of their little-endian bytes.

    Raises:
        ValueError: a number that `kind` cannot hold.
    """
    numbers = np.rint(values)
    if numbers.size and not (0 <= numbers.min() and numbers.max() <= np.iinfo(kind).max):
        raise ValueError(f"expected numbers that fit {np.dtype(kind)}, found {numbers.min()} to {numbers.max()}")
    return base64.b64encode(np.ascontiguousarray(numbers, np.dtype(kind).newbyteorder("<"))).decode("ascii")


def data_uri(picture: bytes) -> str:
    """The bytes of a PNG, JPEG, WebP or SVG picture as a URI that holds them.

    Raises:
        ValueError: another kind of bytes.
    """
    kind = next((name for start, name in _TYPES.items() if picture.startswith(start)), None)
    if kind is None:
        raise ValueError(f"expected a PNG, JPEG, WebP or SVG picture, found bytes starting {picture[:4]!r}")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
