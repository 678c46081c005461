"""What a good set of photographs is: the error of faces from photographs of which one thing at a time is changed.

    python benchmarks/good_photographs.py --heads results/face_model/heads.npz --people 12
    python benchmarks/good_photographs.py --scan FOLDER
    python benchmarks/good_photographs_page.py --heads results/face_model/heads.npz

People who do not exist, of the population of the default stand-in but drawn anew, are photographed by its studio as
`BASE` says: from the left, the front and the right, one metre away, in even light, without expression. Then one thing
is changed, by `SETTINGS`, and everything else, the person, the backdrop and the sensor's noise, is the same again. The
networks are those that ship. RMSE is that of the paper's protocol, point to plane within 95 mm of the nose tip after
seven landmarks and ICP, against a scan of the person with the expression of the front view.

Each measurement is a line of docs/good_photographs.csv. What is there already is not measured again, so the program may
be stopped, and goes on; `--settings` chooses some. With `--scan` a real head scan (see `dfmvr.simulate.real_scan`) is
photographed in place of people, at 512 px and turned by 35 degrees, for the settings that change no more than distance
and light. The second program makes tables and pictures of docs/good_photographs.md.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from tqdm import tqdm

from dfmvr import Reconstruction, Reconstructor
from dfmvr.config.evaluation import PROTOCOLS
from dfmvr.conventions import ALIGNMENT_IN_101, CAMERA_DISTANCE_MM, DROPPED_FROM_106, VIEWS
from dfmvr.errors import DataError
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop
from dfmvr.register.surface import register_surface
from dfmvr.score.distances import measure, summarise
from dfmvr.simulate import real_scan
from dfmvr.simulate.people.anny import AnnyHeads
from dfmvr.simulate.people.hair import draw_strands, draw_tousle, grow
from dfmvr.simulate.people.person import People, Person
from dfmvr.simulate.people.scalp import Scalp
from dfmvr.simulate.studio.backdrop import draw_backdrop
from dfmvr.simulate.studio.camera import Camera, photo_shape, rotation
from dfmvr.simulate.studio.light import Light, direction_of
from dfmvr.simulate.studio.photograph import shadow_of
from dfmvr.simulate.studio.scanner import scan_head
from dfmvr.simulate.studio.sensor import CameraPipeline
from dfmvr.simulate.studio.session import Session

DOCS = Path(__file__).parents[1] / "docs"
PAPER = PROTOCOLS["paper"]
SEED = 2031
SPAN_MM, ASPECT, FACE_MM = 330.0, 7 / 8, 140.0
"""What the height of a photograph shows at the face, its width in heights, and the width of a face."""
SCAN_SPACING_MM, SCAN_NOISE_MM = 1.0, 0.05
LENS_BLUR = 0.9 / 768
"""Standard deviation of what any lens blurs, in heights of the photograph."""


class Setting(NamedTuple):
    """How a set of photographs is taken. What is a tuple is of each photograph, or one of all."""

    chapter: str
    label: str
    yaws: tuple[float, ...] = (-40.0, 0.0, 40.0)  # degrees, negative where the nose points to the image's left
    pitch: float = 0.0  # degrees: positive is seen from above
    roll: float = 0.0  # degrees
    distance_mm: float = CAMERA_DISTANCE_MM  # the face is as large in the photograph from any
    focal_known: bool = False
    height_px: int = 768
    lights: tuple[str, ...] = ("even",)
    expressions: tuple[str, ...] = ("neutral",)
    hair: str = ""  # another style than the person's
    focus: tuple[float, ...] = (0.0,)  # defocus, px
    motion_px: float = 0.0
    noise: float = 1.0  # times the base's standard deviation
    jpeg: int = 92
    stranger: bool = False  # the last photograph is of another person
    mirrored: bool = False  # the first one is, as some telephones do


BASE = Setting("Base", "three views, 40 degrees to the sides, 1 m, 768 px, even light, neutral")


def _settings() -> dict[str, Setting]:
    """All settings by their names, the base first."""
    found = {"base": BASE}

    def add(chapter: str, **labelled: tuple[str, dict]) -> None:
        found.update({name: BASE._replace(chapter=chapter, label=text, **of) for name, (text, of) in labelled.items()})

    for mm in (250, 400, 600, 2000):
        add("Distance, the focal length unknown", **{f"from_{mm}": (f"{mm / 1000:g} m", {"distance_mm": float(mm)})})
    for mm in (250, 600):
        known = {"distance_mm": float(mm), "focal_known": True}
        add("Distance, the focal length known", **{f"from_{mm}_known": (f"{mm / 1000:g} m", known)})
    add(
        "Number of views",
        one=("1: the front", {"yaws": (0.0,)}),
        two=("2: the front and a side", {"yaws": (0.0, 40.0)}),
        five=("5: 20 degrees apart", {"yaws": (-40.0, -20.0, 0.0, 20.0, 40.0)}),
        eight=("8: 14 degrees apart", {"yaws": tuple(np.linspace(-50, 50, 8).round(1).tolist())}),
    )
    for yaw in (15, 30, 60):
        sides = {"yaws": (-float(yaw), 0.0, float(yaw))}
        add("Turn to the sides, three views", **{f"turn_{yaw}": (f"{yaw} degrees", sides)})
    add(
        "Light",
        light_side=("from a side, hard", {"lights": ("side",)}),
        light_below=("from below, hard", {"lights": ("below",)}),
        light_back=("from behind, a bright window", {"lights": ("back",)}),
        light_turning=("a lamp at the side, before which the person turns", {"lights": ("turning",)}),
        light_apart=("another in each: a side, even, the other side", {"lights": ("side", "even", "other_side")}),
        light_dim=("even, but dim: ten times the noise", {"noise": 10.0}),
    )
    add(
        "Expression",
        smile=("the same smile in all", {"expressions": ("smile",)}),
        smile_front=("a smile in the front alone", {"expressions": ("neutral", "smile", "neutral")}),
        faces=("another in each: surprise, smile, pout", {"expressions": ("surprise", "smile", "pout")}),
    )
    for px in (96, 192, 768):
        height = 2 * round(px * SPAN_MM / FACE_MM / 2)
        add("Width of the face in the photographs", **{f"wide_{px}": (f"{px} px", {"height_px": height})})
    add(
        "Sharpness, at 326 px",
        focus_6=("out of focus by 6 px", {"focus": (6.0,)}),
        motion_12=("moved by 12 px", {"motion_px": 12.0}),
        jpeg_10=("JPEG of quality 10", {"jpeg": 10}),
    )
    add(
        "Height of the camera, tilt of the head",
        below=("from 20 degrees below", {"pitch": -20.0}),
        tilt=("tilted by 30 degrees", {"roll": 30.0}),
    )
    add(
        "What does not belong there",
        fringe=("hair down to the brows", {"hair": "fringe"}),
        cap=("a cap, low on the forehead", {"hair": "cap"}),
        mirrored=("one side is a mirror image", {"mirrored": True}),
        stranger=("one side is of another person", {"stranger": True}),
    )
    return found


_GREY = np.ones(3, np.float32)


def light_of(name: str, camera: Camera) -> Light:
    """A light by its name, in the person's frame; of one that stays while the person turns, as this camera sees it."""
    sources = {
        # azimuth and elevation of the lamp, its strength, and that of the room from all sides
        "even": (0, 30, 0.15, 0.85),
        "side": (75, 15, 1.0, 0.1),
        "other_side": (-75, 15, 1.0, 0.1),
        "below": (0, -55, 1.0, 0.12),
        "back": (150, 25, 2.5, 0.25),
        "turning": (60, 20, 1.0, 0.2),
    }
    azimuth, elevation, lamp, room = sources[name]
    sky = np.zeros((4, 3), np.float32)
    sky[0], sky[2] = room, 0.1 * room
    light = Light(direction_of(azimuth, elevation)[None].astype(np.float32), lamp * _GREY[None], sky)
    return light.seen_from(camera.rotation) if name == "turning" else light


class Sets:
    """Takes sets of photographs of people, numbered from 0, and scans them. `heads`: heads.npz."""

    def __init__(self, heads: Path) -> None:
        self.people = People(AnnyHeads(heads, BASE.height_px))
        self._scalp = Scalp(self.people.anatomy)

    @lru_cache(4)  # noqa: B019 (one lives as long as the program)
    def person(self, number: int) -> Person:
        """The person of this number."""
        return self.people.draw_bareheaded(np.random.default_rng((SEED, number)))

    def expression(self, number: int, name: str) -> np.ndarray | None:
        """How a person makes a face, always the same way."""
        if name == "neutral":
            return None
        rng = np.random.default_rng((SEED, number, 1))
        return self.people.population.draw_expression(rng, {name: 1.0})

    def scan(self, number: int, expression: str) -> FaceScan:
        """What a scanner measures of a person."""
        head = self.people.surface(self.person(number), self.expression(number, expression))
        scan = scan_head(head, SCAN_SPACING_MM, SCAN_NOISE_MM, np.random.default_rng((SEED, number, 2)))
        marks = np.delete(head.keypoints, DROPPED_FROM_106, axis=0)[list(ALIGNMENT_IN_101)]
        return FaceScan(scan.vertices, marks, triangles=scan.triangles)

    def photographs(self, number: int, setting: Setting) -> list[np.ndarray]:
        """The photographs, each (H, W, 3) uint8, as they come out of their files."""
        photos = [self._shoot(number, setting, k) for k in range(len(setting.yaws))]
        if setting.stranger:
            photos[-1] = self._shoot(number + 1000, setting, len(photos) - 1)
        if setting.mirrored:
            photos[0] = np.ascontiguousarray(photos[0][:, ::-1])
        return [_through_file(photo, setting.jpeg) for photo in photos]

    def _shoot(self, number: int, setting: Setting, k: int) -> np.ndarray:
        """The photograph in place k of a set."""
        light, expression, focus = (of[k % len(of)] for of in (setting.lights, setting.expressions, setting.focus))
        person = self._with_hair(number, setting.hair)
        sitter = self.people.pose(person, self.expression(number, expression), np.random.default_rng((SEED, number, 3)))
        # a smile must not move the camera: it looks at the eyes and the nose
        camera = camera_of(sitter.landmarks[27:48].mean(0), setting, setting.yaws[k])
        shining = light_of(light, camera)
        backdrop = draw_backdrop(np.random.default_rng((SEED, number, 4)))
        exposure = 1.0
        if light == "back":  # the camera makes the picture's mean grey, not the face
            backdrop, exposure = backdrop._replace(palette=backdrop.palette * 3), 0.5
        session = Session(sitter, shining, shadow_of(shining, sitter), backdrop)
        blur = float(np.hypot(LENS_BLUR * setting.height_px, focus))
        noise = (1e-4 * setting.noise**2, 1e-3 * setting.noise)
        pipeline = CameraPipeline(exposure, _GREY, blur, setting.motion_px, 0.3, *noise, 0.2, setting.jpeg)
        return session.shoot(camera, pipeline, np.random.default_rng((SEED, number, 5, k)))[0]

    def _with_hair(self, number: int, style: str) -> Person:
        """A person with hair of another style, if one is named."""
        person = self.person(number)
        if not style:
            return person
        rng = np.random.default_rng((SEED, number, 6))
        worn = {
            "fringe": {"kind": "short", "thickness_mm": 14.0, "hairline": 0.0, "fringe": 0.5, "softness": 0.06},
            "cap": {"kind": "cap", "thickness_mm": 7.0, "hairline": 0.16, "fringe": 0.0, "softness": 0.004},
        }
        chosen = person.style._replace(**worn[style], length_mm=0.0)
        if style == "cap":
            chosen = chosen._replace(colour=np.array([0.02, 0.04, 0.15], np.float32))
        head = self.people.population.vertices(person.shape, None)
        hair = grow(chosen, self._scalp, head, draw_tousle(rng), draw_strands(chosen, rng), None)
        return person._replace(style=chosen, hair=hair)

    def focal_px(self, setting: Setting) -> float:
        """Of the cameras."""
        return setting.height_px * setting.distance_mm / SPAN_MM


class SetsOfScan:
    """Takes sets of photographs of a real head scan. `folder`: see `dfmvr.simulate.real_scan`."""

    def __init__(self, folder: Path) -> None:
        self._head = real_scan.read_head_scan(folder, 50.0)

    def scan(self, _: str, expression: str) -> FaceScan:
        """What of it cameras can see."""
        if expression != "neutral":
            raise DataError(f"the scan is neutral, found {expression}")
        return FaceScan(real_scan.visible_surface(self._head).vertices, self._head.landmarks)

    def photographs(self, _: str, setting: Setting) -> list[np.ndarray]:
        """The photographs, each (H, W, 3) uint8, as they come out of their files."""
        found = []
        for k, view in enumerate(VIEWS):
            light = light_of(setting.lights[k % len(setting.lights)], real_scan.camera_of(view, setting.distance_mm))
            photo = real_scan.photograph_scan(self._head, view, light, setting.distance_mm)
            found.append(_through_file(photo, setting.jpeg))
        return found

    def focal_px(self, setting: Setting) -> float:
        """Of the cameras."""
        return real_scan.camera_of("front", setting.distance_mm).focal_px


def camera_of(centre: np.ndarray, setting: Setting, yaw: float) -> Camera:
    """The camera before a face turned by `yaw` degrees about `centre` (3,) mm; from nearer, with a wider lens."""
    turn = rotation((setting.pitch, 0, setting.roll)) @ rotation((0, yaw, 0))
    offset = np.array([18 * np.sin(np.radians(yaw)), 0, -setting.distance_mm])
    focal = setting.height_px * setting.distance_mm / SPAN_MM
    return Camera(turn, offset - turn @ centre, focal, photo_shape(setting.height_px, ASPECT))


def _through_file(photo: np.ndarray, quality: int) -> np.ndarray:
    """A photograph (H, W, 3) as it comes out of a JPEG file."""
    stored = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1])


class Row(NamedTuple):
    """What was measured of a person in a setting; NaN where no face came of it."""

    setting: str
    person: str  # a number, or SCAN
    network_mm: float
    fit_mm: float
    notes: str


def rmse(face: Reconstruction, target: FaceScan) -> float:
    """RMSE in mm by the paper's protocol."""
    surface = Surface(face.vertices, face.triangles)
    found = register_surface(surface, face.vertices[face.model.alignment.numpy()], target, PAPER)
    return summarise(measure(surface, crop(target, PAPER), found)).rmse_mm


def measured(
    reconstructor: Reconstructor, sets: Sets | SetsOfScan, person: int | str, names: Sequence[str]
) -> Iterator[Row]:
    """Photograph a person in these settings and measure the faces."""
    scan = lru_cache(None)(lambda expression: sets.scan(person, expression))
    answer = lru_cache(1)(lambda setting: reconstructor.from_any(sets.photographs(person, setting)))
    for name in names:
        setting = SETTINGS[name]
        target = scan(setting.expressions[front_of(setting) % len(setting.expressions)])
        try:
            network = answer(setting._replace(chapter="", label="", focal_known=False))
        except DataError as error:
            yield Row(name, str(person), np.nan, np.nan, str(error))
            continue
        if setting.focal_known:
            views = tuple(view._replace(focal_px=sets.focal_px(setting)) for view in network.views)
            network = dataclasses.replace(network, views=views)
        fit = reconstructor.fit(network, seconds=np.inf)  # a busy machine must not change what is measured
        yield Row(name, str(person), rmse(network, target), rmse(fit, target), "; ".join(fit.notes))


def front_of(setting: Setting) -> int:
    """Which of the photographs is the frontal one."""
    return int(np.abs(setting.yaws).argmin())


SETTINGS = _settings()
SCAN = "scan"
_OF_SCAN = {"chapter", "label", "distance_mm", "focal_known", "lights"}
OF_SCAN = [
    name
    for name, one in SETTINGS.items()
    if not {f for f, a, b in zip(Setting._fields, one, BASE, strict=True) if a != b} - _OF_SCAN
]
"""The settings in which the head scan can be photographed."""


def read_rows(path: Path) -> list[Row]:
    """Read what was measured; nothing, where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(row["setting"], row["person"], float(row["network_mm"]), float(row["fit_mm"]), row["notes"])
            for row in csv.DictReader(file)
        ]


def measure_all(sets: Sets | SetsOfScan, people: Sequence[int | str], names: Sequence[str], path: Path) -> None:
    """Measure what is not yet in the file, person after person, and add it."""
    known = {(row.setting, row.person) for row in read_rows(path)}
    reconstructor = Reconstructor.load()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not known:
            writer.writerow(Row._fields)
        for person in tqdm(people, unit="person"):
            missing = [name for name in names if (name, str(person)) not in known]
            for row in measured(reconstructor, sets, person, missing):
                writer.writerow((*row[:2], f"{row.network_mm:.4f}", f"{row.fit_mm:.4f}", row.notes))
                file.flush()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--heads", type=Path)
    source.add_argument("--scan", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--rows", type=Path, default=DOCS / "good_photographs.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.scan:
        of_scan = [name for name in args.settings if name in OF_SCAN]
        measure_all(SetsOfScan(args.scan), [SCAN], of_scan, args.rows)
    else:
        measure_all(Sets(args.heads), range(args.people), args.settings, args.rows)


if __name__ == "__main__":
    main()
