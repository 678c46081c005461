"""Sections of the data: the face model, the data sets, their stand-ins, meshes of scans."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dfmvr.config.section import Section


class FaceModelSection(Section):
    """The morphable model (Eq. 1)."""

    source: Literal["anny", "bfm_2009", "ict_facekit"] = Field(
        "anny",
        description="Where the model comes from: `anny` builds the open one, the others are imported from `folder`.",
    )
    folder: Path | None = Field(
        None, description="Folder of an imported model's files as they were delivered, or a file that holds them all."
    )
    subdivisions: int = Field(
        2, ge=1, le=2, description="Loop subdivisions: 2 gives about 40,000 vertices, 1 a quarter."
    )
    population: int = Field(2000, ge=100, description="Heads drawn for the principal component analysis of identity.")
    identity_components: int = Field(80, ge=1, le=199, description="Components of identity (alpha).")
    # Paper: alpha and beta in R80, gamma, of texture, in R64. It has the face model of its references [10] and [11] for
    # a fair comparison; theirs has 80, 64 and 80, and so has the authors' code: two letters have changed places.
    expression_components: int = Field(
        64, ge=1, le=199, description="Components of expression (beta), at the most; the files for BFM 2009 have 79."
    )
    albedo_components: int = Field(80, ge=1, le=199, description="Components of albedo (gamma), at the most.")
    seed: int = Field(0, ge=0, description="Seed of the population.")


class PixelFaceData(Section):
    """Pixel-Face as it was delivered."""

    root: Path | None = Field(None, description="Folder of the data set; null: the stand-in.")
    layout: Literal["release", "authors"] = Field(
        "release", description="The public release's folders, or those that the authors' code reads."
    )
    orientation: Literal["rotated_mirrored", "upright"] = Field(
        "rotated_mirrored", description="How photographs are stored; the release's have rows and columns exchanged."
    )
    split: Literal["release", "authors"] | Path = Field(
        "release",
        description="`release`: the release's split files; `authors`: 0.8 of the subjects for training; or the path of "
        "a text file with `sample split` or `subject split` a line.",
    )
    exchange_sides: bool = Field(False, description="Take the folder `0` for the right view and `2` for the left one.")


class MultiPieData(Section):
    """Multi-PIE as it was delivered."""

    root: Path | None = Field(None, description="Folder of the data set; null: the stand-in.")
    layout: Literal["original", "cropped_128"] = Field(
        "original", description="The original tree of sessions, or the version cropped to 128 px."
    )
    cameras: tuple[tuple[str, str, str], ...] = Field(
        (("080", "051", "190"), ("130", "051", "041")), description="Triplets of cameras: left, front, right view."
    )
    sessions: tuple[int, ...] = Field((), description="Sessions used; empty: all.")
    recordings: tuple[int, ...] = Field((), description="Recordings used; empty: all.")
    illuminations: tuple[int, ...] = Field((), description="Illuminations used; empty: all.")
    test_share: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of the subjects, the last ones, that no training sees and Fig. 16 shows, at least one of "
        "several; the paper has some and tells no share. 0: none.",
    )
    exchange_sides: bool = Field(
        False, description="Take camera 080 for one that shows the nose pointing to the image's right."
    )


class BosphorusData(Section):
    """Bosphorus as it was delivered."""

    root: Path | None = Field(None, description="Folder of the data set; null: the stand-in.")
    scan: str = Field("N_N", description="Class and code of the scan that is the ground truth; its first take.")
    front: str = Field("N_N", description="Class and code of the front view.")
    left: tuple[str, ...] = Field(
        ("YR_R10", "YR_R20", "YR_R30", "YR_R45"),
        description="Classes and codes of the side view that varies, which is the left one unless `exchange_sides`; "
        "each gives a sample of its own.",
    )
    right: str = Field("YR_L45", description="Class and code of the other side view.")
    relit_take: int | None = Field(
        1,
        ge=0,
        description="Take of a varied, the front and the other side view that were photographed under a light drawn at "
        "random, as the stand-in has them: a subject with all three has one more sample, for the last column of Table "
        "V. The data set itself has one lamp and, of turns, one take. null: not looked for.",
    )
    exchange_sides: bool = Field(
        False, description="Take a turn to R as one whose photograph shows the nose pointing to the image's right."
    )
    landmark_sides: Literal["image", "person"] = Field(
        "image", description="Whose left the landmarks' names mean: that of the frontal image or the person's own."
    )
    rows: Literal["bottom_first", "top_first"] = Field("bottom_first", description="Order of a range image's rows.")
    texture_y: Literal["up", "down"] = Field(
        "down", description="Direction of the second image coordinate of a range image's points."
    )


class CelebAMaskHQData(Section):
    """CelebAMask-HQ as it was delivered."""

    root: Path | None = Field(None, description="Folder of the data set; null: the stand-in.")
    url: str | None = Field(None, description="Address of an archive to download into `root`, if you may.")
    sha256: str | None = Field(None, description="Checksum of that archive.")
    swap_sides: bool = Field(False, description="Take `l_` as the image's left, hence the person's right.")


class IctFaceKitData(Section):
    """ICT-FaceKit as it was delivered."""

    root: Path | None = Field(
        None, description="Folder that it is downloaded into; `face_model.folder` may then name it."
    )
    url: str | None = Field(
        None,
        description="Address of its archive, such as that of one commit at GitHub: "
        "`https://github.com/ICT-VGL/ICT-FaceKit/archive/<commit>.zip`.",
    )
    sha256: str | None = Field(None, description="Checksum of that archive.")


class DatasetsSection(Section):
    """The data sets: where each lies and how its files are to be read."""

    pixel_face: PixelFaceData = Field(PixelFaceData(), description="Pixel-Face.")
    multi_pie: MultiPieData = Field(MultiPieData(), description="Multi-PIE.")
    bosphorus: BosphorusData = Field(BosphorusData(), description="Bosphorus.")
    celebamask_hq: CelebAMaskHQData = Field(CelebAMaskHQData(), description="CelebAMask-HQ.")
    ict_facekit: IctFaceKitData = Field(IctFaceKitData(), description="ICT-FaceKit, for a download.")

    @classmethod
    def layout_of(cls, dataset: str) -> str:
        """In whose layout a data set of the study is: `pixel_face_ict` is a second one in that of `pixel_face`."""
        return next(name for name in cls.model_fields if dataset.startswith(name))

    def root_of(self, dataset: str) -> Path | None:
        """The folder of a data set as it was delivered; None for a stand-in."""
        return getattr(self, dataset).root if dataset in type(self).model_fields else None

    def files_of(self, dataset: str) -> list[Path]:
        """The folder of a data set as it was delivered, and a list of its splits that lies elsewhere."""
        root = self.root_of(dataset)
        if root is None:
            return []
        listed = dataset == "pixel_face" and isinstance(self.pixel_face.split, Path)
        return [root, self.pixel_face.split] if listed else [root]

    def reading(self, dataset: str) -> str:
        """How the files of a data set are to be read, as one line of JSON; of a second stand-in, as stand-ins are."""
        section = getattr(self, self.layout_of(dataset))
        section = section if dataset in type(self).model_fields else type(section)()
        return section.as_json(exclude={"root", "url", "sha256"})


class MeshSection(Section):
    """Triangle meshes of range images."""

    parameters: Literal["grid", "xy"] = Field(
        "grid",
        description="Plane of the Delaunay triangulation: rows and columns of the sensor, or x and y, in which a face "
        "turned to the side overlaps itself.",
    )
    longest_edge_mm: float = Field(
        6.0, gt=0, description="Triangles with a longer edge are dropped: they bridge holes."
    )
    smallest_angle_deg: float = Field(3.0, ge=0, lt=60, description="Triangles with a smaller angle are dropped.")


class StandInSize(Section):
    """Size of a stand-in for Pixel-Face."""

    train_subjects: int = Field(400, ge=0, description="Subjects for training.")
    test_subjects: int = Field(40, ge=1, description="Other subjects, for testing.")
    expressions: int = Field(2, ge=1, le=22, description="Samples (expressions) a subject; the first is neutral.")


class MultiPieSize(Section):
    """Size of the stand-in for Multi-PIE."""

    subjects: int = Field(126, ge=1, le=999, description="Subjects; their names have three digits.")
    recordings: int = Field(2, ge=1, le=3, description="Recordings (expressions) a subject; the first is neutral.")
    illuminations: int = Field(2, ge=1, le=20, description="Illuminations of each recording.")
    cameras: tuple[str, ...] = Field(
        ("080", "130", "051", "041", "190"),
        description="Cameras, named as in Multi-PIE, where they stand 15 degrees apart.",
    )


class BosphorusSize(Section):
    """Size of the stand-in for Bosphorus."""

    subjects: int = Field(30, ge=1, le=1000, description="Subjects; their names have three digits.")
    expressions: int = Field(1, ge=0, le=6, description="Scans with an emotion a subject.")
    spacing_mm: float = Field(1.2, gt=0, description="Distance of the sensor's grid lines on the face.")


class CelebAMaskSize(Section):
    """Size of the stand-in for CelebAMask-HQ."""

    images: int = Field(600, ge=10, description="Images, of which a tenth each is kept for validation and test.")


class SimulateSection(Section):
    """The stand-in data sets."""

    seed: int = Field(1, ge=0, description="Seed of all stand-ins.")
    photo_height_px: int = Field(256, ge=96, description="Height of a simulated photograph.")
    jpeg_quality: tuple[int, int] = Field((60, 95), description="Range of JPEG quality of the photographs.")
    annotation_noise_px: float = Field(
        0.5, ge=0, description="Standard deviation of the annotated landmarks, in pixels of a 224 px crop."
    )
    scan_spacing_mm: float = Field(1.2, gt=0, description="Mean distance of the points of a simulated scan.")
    scan_noise_mm: float = Field(0.1, ge=0, description="Standard deviation of the scanner's noise along its ray.")
    pixel_face: StandInSize = Field(StandInSize(), description="The stand-in for Pixel-Face.")
    multi_pie: MultiPieSize = Field(MultiPieSize(), description="The stand-in for Multi-PIE.")
    bosphorus: BosphorusSize = Field(BosphorusSize(), description="The stand-in for Bosphorus.")
    celebamask_hq: CelebAMaskSize = Field(CelebAMaskSize(), description="The stand-in for CelebAMask-HQ.")
    ict_facekit: Path | None = Field(
        None, description="ICT-FaceKit's model.npz; set, it gives a second test population."
    )
    ict_test_subjects: int = Field(40, ge=1, description="Subjects of the second test population.")
    real_scan: Path | None = Field(
        None, description="Folder of a real head scan (head.obj, albedo.jpg, landmarks.csv); set, it is tested on too."
    )
    real_scan_mm_per_unit: float = Field(50.0, gt=0, description="Millimetres in one unit of that scan.")

    def for_dataset(self, dataset: str) -> str:
        """What one data set is made by, as one line of JSON, so that keys of others do not make it again."""
        return self.as_json(include=_MADE_BY[dataset])


_PHOTOGRAPHED = {"seed", "photo_height_px"}
_SCANNED = {*_PHOTOGRAPHED, "jpeg_quality", "annotation_noise_px", "scan_spacing_mm", "scan_noise_mm", "pixel_face"}
_MADE_BY = {
    "pixel_face": _SCANNED,
    "pixel_face_ict": {*_SCANNED, "ict_facekit", "ict_test_subjects"},
    "multi_pie": {*_PHOTOGRAPHED, "annotation_noise_px", "multi_pie"},
    "bosphorus": {*_PHOTOGRAPHED, "annotation_noise_px", "scan_noise_mm", "bosphorus"},
    "celebamask_hq": {*_PHOTOGRAPHED, "jpeg_quality", "celebamask_hq"},
    "real_scan": {"real_scan", "real_scan_mm_per_unit"},
}
"""The keys of `simulate` that a data set is made by."""
