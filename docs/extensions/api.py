"""Pages of the API: one for each folder of the package, with a section for each of its modules."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

FOLDER = "reference/api"
"""Of the pages, which are made anew and not kept in git."""

HEAD = """Every module with its functions and classes, their types, shapes and units, from the code itself. Where
nothing else is said, lengths are millimetres, the frame is x to the viewer's right, y up, z toward the camera, and
images are RGB; :mod:`dfmvr.conventions` has the rest. :doc:`../contributing` lists the folders from the ground up.
"""


def page_of(folder: Path, root: Path) -> str:
    """The page of a folder, as reStructuredText."""
    name = ".".join(folder.relative_to(root).parts)
    head = name if folder.parent != root else "API"
    inner = sorted(path.parent for path in folder.glob("*/__init__.py"))
    lines = [head, "=" * len(head), "", HEAD if folder.parent == root else "", f".. automodule:: {name}", ""]
    lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {name}.{path.name}" for path in inner), ""] if inner else []
    for module in sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")):
        whole = f"{name}.{module}"
        lines += [whole, "-" * len(whole), "", f".. automodule:: {whole}", "   :members:", "   :undoc-members:"]
        lines += ["   :show-inheritance:", ""]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write what is not as it should be, and remove what is too many."""
    root, folder = Path(app.srcdir).parent, Path(app.srcdir) / FOLDER
    texts = {
        folder / f"{'.'.join(path.parent.relative_to(root).parts)}.rst": page_of(path.parent, root)
        for path in (root / "dfmvr").rglob("__init__.py")
    }
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.glob("*.rst")) - set(texts):
        path.unlink()
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
