"""The chapter about the networks: the diagrams that `dfmvr report diagrams` draws (Figs. 1, 3 and 8)."""

from __future__ import annotations

import shutil

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import Context


@chapter_of("The networks", "networks")
def network_chapter(context: Context, chapter: Chapter) -> None:
    """The method, each kind of fusion, and the inputs of the mixed training; empty where they were not drawn."""
    shown = context.summary("diagrams", "figures.json")
    if shown:
        chapter.say(caption("networks"))
    for name, facts in shown.items():
        (chapter.folder / "figures").mkdir(exist_ok=True)
        for file in (context.root / "diagrams").glob(f"{name}.*"):
            shutil.copyfile(file, chapter.folder / "figures" / file.name)
        chapter.figure((context.root / "diagrams" / f"{name}.svg").read_bytes(), 0.7, **facts)
