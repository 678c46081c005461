"""Turn photographs into meshes.

In     one to twelve photographs of a face, or a folder or table of many faces.
Gives  face.glb, face.obj, face.ply and what `dfmvr.reconstruct.export.files` tells.

What the study runs are commands of their own: `dfmvr reconstruct dataset`, `mean_face` and `floor`.
"""

from __future__ import annotations

import argparse
import json
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmvr import __version__
from dfmvr.align.find import finders_of
from dfmvr.assets.files import FOLDER, SUMS
from dfmvr.conventions import VIEWS
from dfmvr.datasets.images import image_suffixes
from dfmvr.errors import ConfigError, UnavailableError
from dfmvr.files import sha256_of
from dfmvr.folders import check_free, read_written, writing_folder
from dfmvr.reconstruct.loading import add_networks, load_reconstructor
from dfmvr.reconstruct.sample_files import FORMATS

if TYPE_CHECKING:
    from dfmvr.reconstruct.photographs.landmarks import FaceChoice
    from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
    from dfmvr.reconstruct.photographs.reconstructor import Reconstructor

log = logging.getLogger(__name__)

NOT_OF_A_FACE = ("photos", "sides", "batch", "landmarks", "expression_of", "output", "device", "debug")
"""Options that tell which face is made and where, not how; all others make it anew in a batch where they change."""

EXAMPLES = """examples:
  dfmvr reconstruct --left a.jpg --front b.jpg --right c.jpg -o face/     three photographs
  dfmvr reconstruct a.jpg b.jpg c.jpg -o face/ --viewer                   in any order, with a page to turn the mesh
  dfmvr reconstruct me.jpg -o face/                                       one photograph
  dfmvr reconstruct album/*.jpg -o face/ --expression-of further1         up to twelve; it smiles as in one of them
  dfmvr reconstruct --batch people/ -o faces/                             people/<name>/{left,front,right}.jpg
The nose points to the image's left in the left view. Without --checkpoint the networks that ship with dfmvr are used.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the stage."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    photos = parser.add_argument_group("photographs")
    photos.add_argument("photos", type=Path, nargs="*", metavar="PHOTO", help="one to twelve, told apart by the pose")
    photos.set_defaults(sides=None)
    for view in VIEWS:
        of_view = f"photograph of the {view} view"
        photos.add_argument(f"--{view}", type=Path, action=_Side, dest="sides", metavar="PHOTO", help=of_view)
    photos.add_argument(
        "--batch",
        type=Path,
        metavar="SOURCE",
        help="many faces: a folder of folders, or a CSV file (left, front, right)",
    )
    marks = "5 or 68 points in pixels, a file for each photograph, in the order in which these are named"
    photos.add_argument("--landmarks", type=Path, nargs="+", metavar="FILE", help=marks)
    which = "which face of several, 1 is the largest (default); of one photograph: front=2, or its number, 3=2"
    photos.add_argument("--face", action="append", metavar="[VIEW=]K", help=which)
    photos.add_argument("--viewer", action="store_true", help="write viewer.html too, a page with the mesh to turn")
    moving = "write avatar.glb too: the whole head, with the 52 expressions that ARKit names to move it by"
    photos.add_argument("--avatar", action="store_true", help=moving)
    photos.add_argument("--neutral", action="store_true", help="write the face without its expression too")
    photos.add_argument("--texture", choices=("photos", "albedo"), default="photos", help="whose colours")
    same = "the photographs are of one moment; otherwise each has an expression of its own"
    photos.add_argument("--same-expression", action="store_true", help=same)
    photos.add_argument(
        "--expression-of",
        metavar="VIEW",
        help="whose expression the mesh has: left, front, right or further1, ... as face.json names them (default: "
        "front or, without it, the first)",
    )
    photos.add_argument("--fast", action="store_true", help="the network's answer alone, without the fit")
    within = "a shape that the face model's coefficients give, without the displacement along the normals"
    photos.add_argument("--within-model", action="store_true", help=within)
    fit = "time of the fit at the most; what has been reached by then counts (default: %(default)s)"
    photos.add_argument("--seconds", type=float, default=60.0, metavar="S", help=fit)
    add_networks(parser)
    parser.add_argument(
        "--format", type=_format, choices=FORMATS, nargs="+", default=FORMATS, help="of the meshes (default: all)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")


class _Side(argparse.Action):
    """Collects the photographs of named views, in the order of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take one photograph."""
        given = dict(getattr(namespace, self.dest) or {})
        view = self.option_strings[0].removeprefix("--")
        if view in given:
            parser.error(f"--{view}: given twice; a view has one photograph")
        setattr(namespace, self.dest, given | {view: values})


def _faces(told: list[str]) -> FaceChoice:
    """Which face of photographs with several: `2`, or `front=2` and `3=2` of one of them.

    Raises:
        ConfigError: neither.
    """
    chosen: dict[Any, int] = {}
    for one in (part for words in told for part in words.split(",")):
        name, _, number = one.rpartition("=")
        if not number.isdecimal() or int(number) < 1 or ("=" in one and not name):
            raise ConfigError(f"--face {one}: expected 1 (the largest) or more, or front=2 of one photograph")
        key = int(name) if name.isdecimal() else name
        if key in chosen:
            said = f"of {name} " if name else ""
            raise ConfigError(f"--face {' --face '.join(told)}: expected one face {said}at the most")
        chosen[key] = int(number)
    if "" in chosen and len(chosen) > 1:
        raise ConfigError(f"--face {' --face '.join(told)}: expected one number, or one for each photograph")
    return chosen.get("", chosen or 1)


def _check_swallowed(args: argparse.Namespace) -> None:
    """Raise ConfigError if an option has taken a photograph for itself."""
    several = {"--landmarks": args.landmarks or (), "--face": args.face or ()}
    single = {f"--{name.replace('_', '-')}": getattr(args, name) for name in ("parser", "checkpoint", "face_model")}
    single |= {"--expression-of": args.expression_of, "--device": args.device}
    for option, words in [*several.items(), *((option, [word]) for option, word in single.items() if word)]:
        photo = next((word for word in words if _is_photograph(word)), None)
        if photo is not None:
            raise ConfigError(
                f"{option}: has taken the photograph {photo} for itself; name the photographs before all options"
            )


def _is_photograph(word: Path | str) -> bool:
    """Tell by its name whether a word of the command line is a photograph."""
    return Path(word).suffix.lower() in image_suffixes()


def _format(word: str) -> str:
    """A format of a mesh, where argparse asks for one."""
    if _is_photograph(word):
        raise argparse.ArgumentTypeError(f"has taken the photograph {word} for itself; name the photographs before it")
    return word


def main(args: argparse.Namespace, settings: None) -> None:
    """Reconstruct the face of one to twelve photographs, or all faces of a batch, and write their files.

    Raises:
        ConfigError: options that do not go together.
        DataError: a file is unreadable, or a photograph shows no face.
        OutputError: the folder cannot be written.
        UnavailableError: no face of a batch could be reconstructed, or the finder is not to be had here.
    """
    _check_swallowed(args)
    sides, args.face = args.sides or {}, _faces(args.face or [])
    ways = [name for name, given in (("PHOTO", args.photos), ("--batch", args.batch), ("--left, ...", sides)) if given]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)}: give one of them")
    if args.batch:
        _many(args)
    elif args.photos or sides:
        _one(args, sides)
    else:
        raise ConfigError("no photograph: name one to twelve, or --batch; `dfmvr reconstruct --help` shows examples")


def _write(
    args: argparse.Namespace, reconstructor: Reconstructor, output: Path, folder: Path, face: Reconstruction
) -> Reconstruction:
    """Fit a face to its photographs, unless it shall be fast, and write it; the face that was written.

    Args:
        args: the options.
        reconstructor: the networks.
        output: where the files shall be in the end.
        folder: where to write them.
        face: the network's answer.
    """
    from dfmvr.reconstruct.export.files import MAKER, export, names_of_files

    chosen = {name: getattr(args, name) for name in ("viewer", "neutral", "texture", "avatar")}
    check_free(output, MAKER, names_of_files([view.name for view in face.views], args.format, **chosen))
    if not args.fast:
        face = reconstructor.fit(face, args.seconds, not args.batch, args.same_expression, args.within_model)
    if args.expression_of:
        face = face.as_in(next(view for view in face.views if view.name == args.expression_of))
    export(folder, face, args.format, **chosen)
    return face


def _prepared(args: argparse.Namespace) -> Reconstructor:
    """The networks that the options name, and what else the faces need.

    Raises:
        ConfigError: an avatar of faces of another model.
    """
    reconstructor = load_reconstructor(args)
    if args.avatar:
        from dfmvr.reconstruct.avatar.head import prepare

        prepare(reconstructor.model)
    return reconstructor


def _one(args: argparse.Namespace, sides: dict[str, Path]) -> None:
    """The face of one to twelve photographs."""
    from dfmvr.reconstruct.export.files import MAKER
    from dfmvr.reconstruct.photographs.landmarks import check_choice

    photos = list(sides.values()) or args.photos
    own = [path for path in photos if path.name in read_written(path.parent, MAKER).contents]
    if own and (sides or args.landmarks or len(own) == len(photos)):
        raise ConfigError(f"{own[0]}: a picture that dfmvr wrote; name photographs alone")
    kept = [number for number, path in enumerate(photos, start=1) if path not in own]
    photos = [photos[number - 1] for number in kept]
    if own and isinstance(args.face, dict):
        check_choice(args.face, range(1, len(args.photos) + 1))
        args.face = {kept.index(n) + 1: face for n, face in args.face.items() if n in kept} or 1
    if args.landmarks and len(args.landmarks) != len(photos):
        raise ConfigError(
            f"--landmarks: expected a file for each of {len(photos)} photographs, found {len(args.landmarks)}"
        )
    with writing_folder(args.output, MAKER) as folder:
        reconstructor = _prepared(args)
        if sides:
            marks = dict(zip(sides, args.landmarks or (), strict=False))  # both in the order of the command line
            face = reconstructor(**sides, landmarks=marks, face=args.face)
        else:
            face = reconstructor.from_any(photos, args.landmarks, args.face)
        names = [view.name for view in face.views]
        if args.expression_of not in (None, *names):
            raise ConfigError(f"--expression-of {args.expression_of}: expected one of {', '.join(names)}")
        face = _write(args, reconstructor, args.output, folder, face)
    for note in (*(f"{path}: a picture that dfmvr wrote; left out" for path in own), *face.notes):
        log.info("note: %s", note)
    views = ", ".join(names)
    log.info("%s: a face from %s", args.output, f"the {views} view" if len(names) == 1 else f"the views {views}")


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """How the faces of a batch are made, as JSON has it; of files, what they hold, of what ships too."""

    def told(path: Path) -> str:
        return sha256_of(path) if path.is_file() else str(path)

    chosen = {k: v for k, v in vars(args).items() if k not in NOT_OF_A_FACE}
    chosen |= {"finder": finders_of(args.finder), "shipped": FOLDER / SUMS, "version": __version__}
    return json.loads(json.dumps(chosen, default=told))


def _many(args: argparse.Namespace) -> None:
    """The faces of a folder or a table."""
    from dfmvr.reconstruct.photographs import batch
    from dfmvr.reconstruct.photographs.faces import list_faces
    from dfmvr.reconstruct.photographs.landmarks import check_choice

    if args.landmarks:
        raise ConfigError("--landmarks: not together with --batch, which finds {view}.txt beside the photographs")
    if args.expression_of:
        raise ConfigError("--expression-of: not together with --batch, whose faces may lack that photograph")
    check_choice(args.face, VIEWS)
    faces = list_faces(args.batch)
    reconstructor = _prepared(args)
    write = partial(_write, args, reconstructor)
    outcomes = batch.reconstruct_all(reconstructor, faces, args.output, write, args.face, _options(args))
    counts = dict.fromkeys((batch.DONE, batch.SKIPPED, batch.SET_ASIDE), 0)
    for one in outcomes:
        counts[one.status] += 1
        if one.status == batch.SET_ASIDE or (one.status == batch.DONE and one.notes):
            log.info("%s: %s: %s", one.status, one.name, one.notes)
    log.info("%s: %s; %s tells of each", args.output, ", ".join(f"{n} {s}" for s, n in counts.items()), batch.SUMMARY)
    if not counts[batch.DONE] + counts[batch.SKIPPED]:
        raise UnavailableError(f"{args.batch}: no face could be reconstructed; {args.output / batch.SUMMARY} tells why")
