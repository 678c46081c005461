"""Make what docs/good_photographs.md shows of docs/good_photographs.csv, which good_photographs.py measured.

    python benchmarks/good_photographs_page.py --heads results/face_model/heads.npz

The table goes into the page, between the comments that name it, the pictures into docs/pictures. Without `--heads` the
picture of the photographs, which are taken again, stays as it is. Errors are compared person by person: a ratio is the
geometric mean over people of error / error of the base, its interval Student's, of 95 %, of the logarithms; with two
people it goes from the one to the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from good_photographs import BASE, DOCS, SCAN, SETTINGS, Row, Sets, Setting, front_of, read_rows
from PIL import Image, ImageDraw, ImageFont
from scipy import stats
from tqdm import tqdm

PAGE, PICTURES = DOCS / "good_photographs.md", DOCS / "pictures"
BEGIN, END = "<!-- table of good_photographs_page.py -->", "<!-- end of the table -->"
FEWEST = 3
"""People from whom an interval can be told; of fewer, the extremes are."""
SHOWN = (
    *("base", "five", "light_side", "smile"),
    *("from_250", "one", "light_back", "faces"),
    *("from_400", "two", "light_turning", "smile_front"),
    *("turn_60", "turn_15", "focus_6", "stranger"),
)
"""Settings whose photographs are shown, where they were measured."""
COLUMNS, SMALL_PX, TILE_PX, CAPTION_PX = 4, 256, (128, 112), 34


class Ratio(NamedTuple):
    """A ratio of errors, and its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """As the table has it."""
        interval = f" ({self.low:.2f} to {self.high:.2f})" if self.low < self.high else ""
        return f"{self.mean:.2f}{interval}"


class Found(NamedTuple):
    """What came of a setting."""

    people: int
    failed: int  # of them, those of whose photographs no face came
    network_mm: float
    fit_mm: float
    network: Ratio  # in that of the base
    fit: Ratio
    told: int  # people of whom the program said something
    scan: float  # error of the head scan's fit in that of its base; NaN where it was not photographed


def ratio_of(errors: Sequence[float], base: Sequence[float]) -> Ratio:
    """The ratio of errors of the same people."""
    logs = np.log(np.divide(errors, base))
    mean, low, high = logs.mean(), logs.min(), logs.max()
    if len(logs) >= FEWEST:
        reach = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
        low, high = mean - reach, mean + reach
    return Ratio(*np.exp([mean, low, high]).tolist())


def summarise(rows: Sequence[Row]) -> dict[str, Found]:
    """What came of each setting that was measured, in the order of SETTINGS."""
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_name.setdefault(row.setting, {})[row.person] = row
    base, found = by_name["base"], {}
    for name in (name for name in SETTINGS if name in by_name):
        of_people = {person: row for person, row in by_name[name].items() if person != SCAN}
        sound = {person: row for person, row in of_people.items() if np.isfinite(row.fit_mm)}
        if not sound:
            continue
        errors, of_base = (np.array([of[p][2:4] for p in sound]) for of in (by_name[name], base))
        network, fit = (ratio_of(errors[:, k], of_base[:, k]) for k in range(2))
        scan = by_name[name][SCAN].fit_mm / base[SCAN].fit_mm if SCAN in by_name[name] else np.nan
        told = sum(bool(row.notes) for row in of_people.values())
        failed = len(of_people) - len(sound)
        found[name] = Found(len(of_people), failed, *errors.mean(0).tolist(), network, fit, told, scan)
    return found


def table(found: dict[str, Found]) -> str:
    """The table of the page."""
    lines = [
        "| photographs | people | network, mm | / base | with the fit, mm | / base | scan, / base | told |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    chapter = ""
    for name, one in found.items():
        if SETTINGS[name].chapter != chapter:
            chapter = SETTINGS[name].chapter
            lines.append(f"| **{chapter}** | | | | | | | |")
        base = name == "base"
        network, fit = ("" if base else str(ratio) for ratio in (one.network, one.fit))
        scan = "" if base or np.isnan(one.scan) else f"{one.scan:.2f}"
        told = f"{one.told}" if one.told else ""
        cells = (
            SETTINGS[name].label,
            one.people,
            f"{one.network_mm:.2f}",
            network,
            f"{one.fit_mm:.2f}",
            fit,
            scan,
            told,
        )
        lines.append("| " + "".join(f"{cell} | " if cell != "" else "| " for cell in cells).rstrip())
    return "\n".join(lines)


def write_table(found: dict[str, Found], page: Path = PAGE) -> None:
    """Put the table into the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}", encoding="utf-8")


def draw(found: dict[str, Found], path: Path) -> None:
    """Draw the ratios, a line a setting."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    lines, chapter = [], "Base"
    for name in found:
        if name == "base":
            continue
        if SETTINGS[name].chapter != chapter:
            chapter = SETTINGS[name].chapter
            lines.append(None)
        lines.append(name)
    figure, axis = plt.subplots(figsize=(8, 0.21 * len(lines) + 1.0))
    labels, before = [], ""
    for y, name in enumerate(lines):
        if name is None:
            before = lines[y + 1]
            axis.text(0, -y, SETTINGS[before].chapter, transform=axis.get_yaxis_transform(), fontsize=8, weight="bold")
            continue
        one = found[name]
        labels.append((-y, SETTINGS[name].label))
        axis.plot([one.fit.low, one.fit.high], [-y, -y], color="tab:orange", lw=1.5, alpha=0.7)
        axis.plot(one.fit.mean, -y, "o", color="tab:orange", ms=5, label="with the fit" if y == 1 else None)
        axis.plot(one.network.mean, -y, "o", mfc="none", color="tab:blue", ms=5, label="network" if y == 1 else None)
        if np.isfinite(one.scan):
            axis.plot(one.scan, -y, "x", color="black", ms=5, label="head scan, with the fit" if y == 1 else None)
    axis.axvline(1, color="grey", lw=0.8)
    ticks = [0.5, 0.7, 1, 1.5, 2, 3, 4]
    axis.set_xscale("log")
    axis.set(xlim=(0.45, 4.5), ylim=(-len(lines) + 0.3, 1), xlabel="error, in that of the base")
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(*zip(*labels, strict=True), fontsize=8)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110, pil_kwargs={"quality": 85})
    plt.close(figure)


def typical(rows: Sequence[Row]) -> int:
    """The person in the middle of all by the ratio to the base that most settings show."""
    base = {row.person: row.fit_mm for row in rows if row.setting == "base"}
    ratios = {}
    for row in rows:
        if row.person != SCAN and row.setting in SHOWN and np.isfinite(row.fit_mm):
            ratios.setdefault(row.person, []).append(np.log(row.fit_mm / base[row.person]))
    most = max(map(len, ratios.values()))
    means = sorted((np.mean(of), person) for person, of in ratios.items() if len(of) == most)
    return int(means[len(means) // 2][1])


def draw_sheet(rows: Sequence[Row], sets: Sets, path: Path) -> None:
    """Show photographs of one person with the errors that came of them."""
    person = typical(rows)
    errors = {row.setting: row.fit_mm for row in rows if row.person == str(person)}
    names = [name for name in SHOWN if name in errors]
    tiles = []
    for name in tqdm(names, unit="setting"):
        photos = sets.photographs(person, _small(SETTINGS[name]))
        tiles.append(_tile(photos, SETTINGS[name], errors[name], errors["base"]))
    tiles += [Image.new("RGB", tiles[0].size, "white")] * (-len(tiles) % COLUMNS)
    width, height = tiles[0].size
    sheet = Image.new("RGB", (COLUMNS * width, len(tiles) // COLUMNS * height), "white")
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (k % COLUMNS * width, k // COLUMNS * height))
    sheet.save(path, quality=85)


def _small(setting: Setting) -> Setting:
    """The setting with photographs of a size that is enough to look at, and looks the same."""
    shrunk = SMALL_PX / setting.height_px
    focus = tuple(shrunk * px for px in setting.focus)
    return setting._replace(height_px=SMALL_PX, focus=focus, motion_px=shrunk * setting.motion_px)


def _tile(photos: list[np.ndarray], setting: Setting, error: float, base: float) -> Image.Image:
    """Up to three of the photographs above what came of them."""
    front, (height, width) = front_of(setting), TILE_PX
    chosen = photos[max(front - 1, 0) : front + 2]
    if len(chosen) == 3:
        chosen = [photos[0], photos[front], photos[-1]]
    tile = Image.new("RGB", (3 * width + 8, height + CAPTION_PX), "white")
    for k, photo in enumerate(chosen):
        small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        tile.paste(Image.fromarray(small), (k * width, 0))
    turned = setting.chapter.startswith("Turn")
    caption = "the base" if setting == BASE else f"{'sides turned by ' * turned}{setting.label}"
    pen = ImageDraw.Draw(tile)
    pen.text((2, height + 1), caption, "black", ImageFont.load_default(12))
    worse = error > 1.15 * base
    pen.text(
        (2, height + 16),
        f"{error:.2f} mm, {error / base:.2f}",
        "firebrick" if worse else "darkgreen",
        ImageFont.load_default(13),
    )
    return tile


def main() -> None:
    """Write table and pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--heads", type=Path)
    args = parser.parse_args()
    rows = read_rows(DOCS / "good_photographs.csv")
    found = summarise(rows)
    write_table(found)
    draw(found, PICTURES / "good_photographs.jpg")
    if args.heads:
        draw_sheet(rows, Sets(args.heads), PICTURES / "good_photographs_sheet.jpg")


if __name__ == "__main__":
    main()
