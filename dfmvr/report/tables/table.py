"""A table: full-precision numbers for the CSV file, printed cells for LaTeX (booktabs) and HTML.

Headers and cells are plain text that may hold a subscript in the form `L_{l3d}`; whatever they hold is escaped.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dfmvr.files import writing
from dfmvr.report.tables.statistics import LEVEL, Interval

_SUBSCRIPT = re.compile(r"_\{([^{}]*)\}")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u2013": "--",
    "\u2212": r"$-$",
    "\u00b1": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u03b1": r"$\alpha$",
    "\u03b2": r"$\beta$",
    "\u03b3": r"$\gamma$",
    "\u03c4": r"$\tau$",
    "\u00b0": r"$^\circ$",
    "\u00b2": r"$^2$",
}
MISSING = "\u2013"
INTERVAL = f"{100 * LEVEL:.0f} % interval"


class Column(NamedTuple):
    """One printed column."""

    header: str
    cell: Callable[[pd.Series], str]
    group: str = ""
    """Heading over neighbouring columns of the same group."""
    left: bool = False
    """Text columns are set flush left, numbers flush right."""
    ends: Callable[[pd.Series], str] | None = None
    """Interval of the cell: in HTML below it in small print, in LaTeX a column of its own."""


class Table(NamedTuple):
    """A table of the page."""

    name: str
    """Stem of its files."""
    title: str
    caption: str
    frame: pd.DataFrame
    """One row a printed row; the CSV file holds it in full precision."""
    columns: tuple[Column, ...]
    block: str = ""
    """Column of `frame` whose changes start a new block of rows under a heading of its own."""
    emphasised: Callable[[pd.Series], bool] = lambda row: False
    csv: pd.DataFrame | None = None
    """What the CSV file holds where it is not `frame`."""


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """A number with a true minus sign, or a dash for NaN."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign, plus or minus."""
    return number(value, digits, signed=True)


def percent(value: float, digits: int = 0) -> str:
    """A fraction as a percentage."""
    return MISSING if value is None or not math.isfinite(value) else f"{number(100 * value, digits)} %"


def interval(ends: Interval | tuple[float, float], show: Callable[[float], str] = number) -> str:
    """The ends of an interval as `low to high` (a dash or a minus would not tell which is meant)."""
    low, high = ends[-2:]
    return MISSING if not (math.isfinite(low) and math.isfinite(high)) else f"{show(low)} to {show(high)}"


def text_column(header: str, key: str = "") -> Column:
    """A column of the texts in a column of the frame, `key` or `header`, flush left."""
    return Column(header, lambda row: row[key or header], left=True)


def number_column(
    header: str, key: str = "", show: Callable[[float], str] = number, group: str = "", ends: bool = False
) -> Column:
    """A column of the numbers in a column of the frame, `key` or `header`; with `ends`, each with its interval."""
    key = key or header

    def low_to_high(row: pd.Series) -> str:
        return interval((row[f"{key}_low"], row[f"{key}_high"]), show)

    return Column(header, lambda row: show(row[key]), group, ends=low_to_high if ends else None)


def plain(text: str) -> str:
    """Text without markup."""
    return _SUBSCRIPT.sub(r"_\1", text)


def to_html(text: str) -> str:
    """Escape text for HTML and set its subscripts."""
    return _SUBSCRIPT.sub(r"<sub>\1</sub>", html.escape(text, quote=True))


def to_latex(text: str) -> str:
    """Escape text for LaTeX and set its subscripts.

    A comparison sign or bar becomes a text command, since the old font encoding prints another character for it.
    """
    parts = _SUBSCRIPT.split(text)
    escaped = ["".join(_LATEX.get(c, c) for c in part) for part in parts]
    return "".join(f"$_{{\\mathrm{{{part}}}}}$" if i % 2 else part for i, part in enumerate(escaped))


def _blocks(table: Table) -> list[tuple[str, pd.DataFrame]]:
    """Rows grouped by the block column, in order of appearance."""
    if not table.block:
        return [("", table.frame)]
    return [(str(name), rows) for name, rows in table.frame.groupby(table.block, sort=False)]


def _groups(table: Table) -> list[tuple[str, int]]:
    """Column groups as (heading, number of columns), neighbours of one group joined."""
    return [(name, len(list(alike))) for name, alike in groupby(table.columns, lambda column: column.group)]


def html_table(table: Table) -> str:
    """The table as an HTML `<table>` element."""
    lines = ["<table>", "<thead>"]
    if any(name for name, _ in _groups(table)):
        heads = "".join(
            f'<th colspan="{span}" scope="colgroup"{" class=group" if name else ""}>{to_html(name)}</th>'
            for name, span in _groups(table)
        )
        lines.append(f"<tr>{heads}</tr>")
    sides = ["left" if column.left else "right" for column in table.columns]
    heads = zip(sides, table.columns, strict=True)
    below = f"<small>{INTERVAL}</small>"
    names = [f'<th scope="col" class={s}>{to_html(c.header)}{below if c.ends else ""}</th>' for s, c in heads]
    lines.append(f"<tr>{''.join(names)}</tr>")
    lines.append("</thead>")
    for block, rows in _blocks(table):
        lines.append("<tbody>")
        if block:
            lines.append(f'<tr class=block><th scope="rowgroup" colspan="{len(sides)}">{to_html(block)}</th></tr>')
        for _, row in rows.iterrows():
            cells = [to_html(c.cell(row)) + _small(c.ends, row) for c in table.columns]
            body = "".join(f"<td class={s}>{cell}</td>" for s, cell in zip(sides, cells, strict=True))
            lines.append(f"<tr{' class=emphasised' if table.emphasised(row) else ''}>{body}</tr>")
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def _small(ends: Callable[[pd.Series], str] | None, row: pd.Series) -> str:
    """The interval of a cell in small print, nothing where there is none."""
    text = MISSING if ends is None else ends(row)
    return "" if text == MISSING else f"<small>{to_html(text)}</small>"


def _with_intervals_beside(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns, each interval as a column after its value."""
    pairs = ((c._replace(ends=None), Column(INTERVAL, c.ends, c.group) if c.ends else None) for c in columns)
    return tuple(column for pair in pairs for column in pair if column is not None)


def latex_table(table: Table) -> str:
    r"""The table as a LaTeX `table` environment; it needs `\usepackage{booktabs}` and `\usepackage{graphicx}`."""
    table = table._replace(columns=_with_intervals_beside(table.columns))
    alignment = "".join("l" if column.left else "r" for column in table.columns)
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{to_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
    ]
    groups, start = _groups(table), 1
    if any(name for name, _ in groups):
        lines.append(" & ".join(rf"\multicolumn{{{n}}}{{c}}{{{to_latex(name)}}}" for name, n in groups) + r" \\")
        for name, span in groups:
            if name:
                lines.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
            start += span
    lines.append(" & ".join(to_latex(column.header) for column in table.columns) + r" \\")
    for block, rows in _blocks(table):
        lines.append(r"\midrule")
        if block:
            lines.append(rf"\multicolumn{{{len(alignment)}}}{{@{{}}l}}{{\textit{{{to_latex(block)}}}}} \\")
        for _, row in rows.iterrows():
            lines.append(" & ".join(to_latex(column.cell(row)) for column in table.columns) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def write_table(table: Table, folder: Path) -> None:
    """Write `<name>.csv` in full precision, `<name>.tex` and `<name>.html`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    frame = table.frame if table.csv is None else table.csv
    frame = frame.map(lambda value: plain(value) if isinstance(value, str) else value)
    texts = {"csv": frame.to_csv(index=False, lineterminator="\n"), "tex": latex_table(table), "html": html_page(table)}
    for suffix, text in texts.items():
        with writing(folder / f"{table.name}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")


def html_page(table: Table) -> str:
    """The table and its caption as an HTML document of their own."""
    head = f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{to_html(plain(table.title))}</title>\n'
    return f"{head}{html_table(table)}\n<p>{to_html(table.caption)}</p>\n</html>\n"
