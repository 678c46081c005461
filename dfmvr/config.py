"""The configuration: one pydantic model a stage, from which defaults, JSON schema and config/README.md are made.

A key that no model knows is an error that names the nearest right one.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dfmvr.errors import ConfigError


class Section(BaseModel):
    """Base of all sections: strict keys, immutable, every key described."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    expression_components: int = Field(64, ge=1, le=64, description="Components of expression (beta), at the most.")
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
    split: str = Field(
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
    test_share: float = Field(0.0, ge=0, le=1, description="Share of the subjects, the last ones, kept for testing.")
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
        description="Classes and codes of the left view; each gives a sample of its own.",
    )
    right: str = Field("YR_L45", description="Class and code of the right view.")
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

    train_subjects: int = Field(500, ge=0, description="Subjects for training.")
    test_subjects: int = Field(40, ge=1, description="Other subjects, for testing.")
    expressions: int = Field(2, ge=1, le=22, description="Samples (expressions) a subject; the first is neutral.")


class MultiPieSize(Section):
    """Size of the stand-in for Multi-PIE."""

    subjects: int = Field(120, ge=1, description="Subjects.")
    recordings: int = Field(2, ge=1, le=3, description="Recordings (expressions) a subject; the first is neutral.")
    illuminations: int = Field(2, ge=1, le=20, description="Illuminations of each recording.")
    cameras: tuple[str, ...] = Field(
        ("080", "130", "051", "041", "190"),
        description="Cameras, named as in Multi-PIE, where they stand 15 degrees apart.",
    )


class BosphorusSize(Section):
    """Size of the stand-in for Bosphorus."""

    subjects: int = Field(30, ge=1, description="Subjects.")
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


class AlignSection(Section):
    """Landmarks and crops."""

    image_size: int = Field(64, ge=32, le=512, description="Width and height of the aligned crops in pixels.")
    landmarks: Literal["annotated", "face_alignment"] = Field(
        "annotated", description="Source of the 68 landmarks: the data set's own files or the face-alignment library."
    )


class ParseSection(Section):
    """The face parse net and its masks."""

    width: int = Field(12, ge=4, description="Channels of the first stage; the paper's net has 64.")
    output_stride: Literal[2, 4, 8] = Field(
        4, description="Pixels to one cell of the grid of classes; the paper's net has 8, small images want 4."
    )
    epochs: int = Field(13, ge=0, description="Passes over the training images; 0 keeps `facexlib_weights` unchanged.")
    batch_size: int = Field(8, ge=2, description="Images a step.")
    learning_rate: float = Field(8e-3, gt=0, description="Peak learning rate.")
    checkpoint_minutes: float = Field(1.0, gt=0, description="Time between two checkpoints.")
    facexlib_weights: Path | None = Field(
        None, description="facexlib's parsing_bisenet.pth, to start from instead of random weights (width 64, 512 px)."
    )
    feature_weight: int = Field(254, ge=0, le=255, description="Weight of facial features in the photo loss (Fig. 4).")
    face_weight: int = Field(128, ge=0, le=255, description="Weight of the rest of the face (Fig. 4).")
    background_weight: int = Field(32, ge=0, le=255, description="Weight of the background (Fig. 4).")
    dilation_px: float = Field(20, ge=0, description="Dilation of the mask for the weight map, in pixels at 224.")
    dilate_background: bool = Field(
        True, description="Let the dilated face grow over the background; the released code does not."
    )
    seed: int = Field(0, ge=0, description="Seed of initial weights and augmentation.")


class NetworkSection(Section):
    """DF-MVR's network."""

    fusion: Literal["cnn", "unet", "unet_late", "tri_unet"] = Field(
        "tri_unet",
        description="How the views are fused: one CNN on every view, its features concatenated; one U-Net that sees "
        "all views at once, or each alone and is concatenated at the end; or Tri-UNet.",
    )
    width: int = Field(8, ge=2, description="Channels of the first level of the fusion; the paper has 64.")
    backbone: Literal["rednet", "resnet"] = Field("rednet", description="The network that regresses the coefficients.")
    backbone_width: int = Field(16, ge=16, description="Channels of the backbone's stem; RedNet-50 has 64.")
    depth: Literal[14, 26, 38, 50] = Field(14, description="Depth of the backbone; the paper has 50.")
    face_mask: bool = Field(True, description="Give the parser's mask as the fourth input channel.")
    released_concat: bool = Field(
        True,
        description="Regress from the last concatenation (4 x width channels; 2 x in a U-Net), as the released code "
        "does; the paper's text regresses from `width` channels, too few in a narrow network.",
    )
    stem_pool: bool = Field(False, description="Max pooling in the backbone's stem; RedNet has it, for 224 px.")
    neck: int = Field(256, ge=0, description="Units of a layer that sees the whole last map; 0: its mean.")
    quick_start: bool = Field(True, description="Initial weights for a short training; false: RedNet's own.")
    released_inputs: bool = Field(
        False,
        description="Colours in [0, 1] and masks as raw class ids, as in the released code; false: all in [-1, 1].",
    )
    shared_lighting: bool = Field(
        False, description="One lighting for all views, fixed to the head, as in the released code; false: one a view."
    )


class LossSection(Section):
    """Weights of the losses, Eqs. 2 to 8."""

    photo: float = Field(4.0, ge=0, description="w_p of the photo loss, Eq. 2.")
    mask: float = Field(3.0, ge=0, description="w_m of the mask loss, Eq. 3.")
    landmark: float = Field(1.0, ge=0, description="w_l of both landmark losses, Eq. 7.")
    landmark_2d: float = Field(0.02, ge=0, description="w_2d, Eq. 7 (distances in pixels of a 224 px image).")
    landmark_3d: float = Field(1.0, ge=0, description="w_3d, Eq. 7 (distances in mm).")
    regularisation: float = Field(3e-4, ge=0, description="w_reg of Eq. 8.")
    identity: float = Field(1.0, ge=0, description="w_alpha of Eq. 8.")
    expression: float = Field(0.8, ge=0, description="w_beta of Eq. 8.")
    texture: float = Field(0.017, ge=0, description="w_gamma of Eq. 8.")


class SingleImageSection(Section):
    """The baselines' ResNet."""

    backbone_width: int = Field(16, ge=4, description="Channels of the stem; ResNet-50 has 64.")
    depth: Literal[14, 26, 38, 50] = Field(14, description="Depth; the papers have 50.")
    stem_pool: bool = Field(False, description="Max pooling in the stem; ResNet has it, for 224 px.")
    neck: int = Field(256, ge=0, description="Units of a layer that sees the whole last map; 0: its mean.")
    quick_start: bool = Field(True, description="Initial weights for a short training; false: ResNet's own.")


class Deep3DSection(SingleImageSection):
    """The networks of Deng et al. 2019."""

    aggregation: Literal["confidence", "mean"] = Field(
        "confidence",
        description="How the identities of three photographs become one: weighted by C-Net, or their mean.",
    )


class DengWeightsSection(Section):
    """Weights of the losses of Deng et al. 2019, and the training of C-Net."""

    photo: float = Field(1.92, ge=0, description="Photo loss on the face.")
    landmark_2d: float = Field(1.6e-3, ge=0, description="Squared distance of landmarks, in pixels of a 224 px image.")
    regularisation: float = Field(3e-4, ge=0, description="All of the regularisation.")
    identity: float = Field(1.0, ge=0, description="Identity within the regularisation.")
    expression: float = Field(0.8, ge=0, description="Expression within the regularisation.")
    texture: float = Field(0.017, ge=0, description="Texture within the regularisation.")
    lighting: float = Field(10.0, ge=0, description="Colour of the light.")
    albedo: float = Field(5.0, ge=0, description="Unevenness of the skin's albedo.")
    perceptual: float = Field(0.2, ge=0, description="Distance of face embeddings; needs `embedding`.")
    embedding: Path | None = Field(
        None, description="Face recognition network written by torch.export, RGB in [0, 1] (N, 3, 224, 224) to (N, D)."
    )
    confidence_share: float = Field(
        0.2, ge=0, le=1, description="Share of the steps, the last ones, that train C-Net with the rest fixed."
    )


class DengSection(Section):
    """The baseline of Deng et al. 2019."""

    network: Deep3DSection = Field(Deep3DSection(), description="The network.")
    loss: DengWeightsSection = Field(DengWeightsSection(), description="The losses.")


class ShangWeightsSection(Section):
    """Weights of the losses of Shang et al. 2020."""

    photo: float = Field(1.9, ge=0, description="Photo loss on the face.")
    landmark_2d: float = Field(1e-3, ge=0, description="Squared distance of landmarks, in pixels of a 224 px image.")
    shape: float = Field(1e-4, ge=0, description="Regularisation of identity and expression.")
    expression: float = Field(0.8, ge=0, description="Expression within `shape`.")
    texture: float = Field(5.1e-7, ge=0, description="Regularisation of texture.")
    perceptual: float = Field(0.2, ge=0, description="Distance of face embeddings; needs `embedding`.")
    embedding: Path | None = Field(None, description="As of `train.deng.loss`.")
    multi_view: float = Field(1.0, ge=0, description="All three of the following.")
    pixel: float = Field(0.15, ge=0, description="Colours of the side views carried into the front view.")
    depth: float = Field(1e-4, ge=0, description="Depth of the side views carried into the front view, in mm.")
    epipolar: float = Field(1e-3, ge=0, description="Landmarks to epipolar lines, in pixels of a 224 px image.")


class ShangSection(Section):
    """The baseline of Shang et al. 2020."""

    network: SingleImageSection = Field(SingleImageSection(), description="The network.")
    loss: ShangWeightsSection = Field(ShangWeightsSection(), description="The losses.")


class TrainSection(Section):
    """Training of one variant."""

    method: Literal["df_mvr", "deng", "shang"] = Field(
        "df_mvr", description="What is trained: DF-MVR or one of the two baselines."
    )
    data: Literal["pixel_face", "multi_pie"] = Field("pixel_face", description="The data set trained on.")
    epochs: int = Field(16, ge=1, description="Passes over the training samples; the paper has 512.")
    landmark_share: float = Field(
        0.75, ge=0, le=1, description="Share of the steps, the first ones, with landmarks and regularisation alone."
    )
    batch_size: int = Field(16, ge=2, description="Samples a step, over all processes.")
    accumulate: int = Field(
        1, ge=1, description="Pieces of a batch that are computed one after the other, to save memory."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Initial learning rate of Adam, annealed to 0 by a cosine.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the networks.")
    gpus: int = Field(
        0,
        ge=0,
        description="GPUs that a training of the workflow asks for, one process each; 0: one process, and CPUs do.",
    )
    single_view_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the samples of which the network sees one view alone, the others being black; a third in "
        "the single-view scheme (V-C).",
    )
    augment: bool = Field(True, description="Vary brightness, contrast, colour and sharpness of the input.")
    checkpoint_minutes: float = Field(1.0, gt=0, description="Time between two checkpoints.")
    seed: int = Field(0, ge=0, description="Seed of initial weights, order and augmentation.")
    network: NetworkSection = Field(NetworkSection(), description="DF-MVR's network.")
    loss: LossSection = Field(LossSection(), description="DF-MVR's losses.")
    deng: DengSection = Field(DengSection(), description="Network and losses where the method is `deng`.")
    shang: ShangSection = Field(ShangSection(), description="Network and losses where the method is `shang`.")


class ProtocolSection(Section):
    """One way of measuring a prediction against a scan."""

    crop: Literal["nose_sphere", "face_sphere"] = Field(
        "nose_sphere",
        description="Evaluated part of the scan: a sphere of fixed radius about the nose tip, or the released code's, "
        "whose centre and radius follow from the landmarks.",
    )
    crop_radius_mm: float = Field(95.0, gt=0, description="Radius of the crop `nose_sphere`.")
    with_scale: bool = Field(True, description="Whether the registration may change the size of the prediction.")
    statistic: Literal["rms_point_to_plane", "mean_point_to_surface"] = Field(
        "rms_point_to_plane", description="What the protocol calls its error, in mm; both are always written."
    )


PROTOCOLS = {
    "paper": ProtocolSection(),
    "metrical": ProtocolSection(with_scale=False),
    "released_code": ProtocolSection(crop="face_sphere", statistic="mean_point_to_surface"),
}
"""The built-in protocols; `paper` is the default one."""


class RegisterSection(Section):
    """Registration of a prediction to its scan, and the protocols of the score."""

    iterations: int = Field(100, ge=1, description="Steps of ICP, at the most.")
    protocols: dict[str, ProtocolSection] = Field(
        PROTOCOLS, description="Protocols by name; those given here are added to the built-in ones or change them."
    )

    @field_validator("protocols", mode="before")
    @classmethod
    def _with_built_in(cls, given: Any) -> Any:
        """Complete the given protocols with the built-in ones, key by key."""
        if not isinstance(given, dict):
            return given
        known = {name: protocol.model_dump() for name, protocol in PROTOCOLS.items()}
        changed = {name: {**known.get(name, {}), **dict(value)} for name, value in given.items()}
        return {**known, **changed}


class ReportSection(Section):
    """Tables, figures and the page."""

    panels: int = Field(4, ge=0, description="Test samples shown as panels.")
    bootstrap: int = Field(10000, ge=100, description="Resamples for the 95 % intervals.")
    seed: int = Field(0, ge=0, description="Seed of the resamples.")
    data_names: dict[str, str] = Field(
        {
            "pixel_face": "Pixel-Face stand-in (anny population)",
            "pixel_face_ict": "Pixel-Face stand-in (ICT-FaceKit population)",
            "multi_pie": "Multi-PIE stand-in",
            "bosphorus": "Bosphorus stand-in",
            "celebamask_hq": "CelebAMask-HQ stand-in",
        },
        description="What each data set is called in print; a stand-in must not bear the name of the real one alone.",
    )


VARIANTS: dict[str, dict[str, Any]] = {
    "dfmvr": {},
    "dfmvr_without_l3d": {"loss": {"landmark_3d": 0.0}},
    "dfmvr_cnn": {"network": {"fusion": "cnn"}},
    "dfmvr_unet": {"network": {"fusion": "unet"}},
    "dfmvr_resnet": {"network": {"backbone": "resnet"}},
    "dfmvr_without_mask": {"network": {"face_mask": False}, "loss": {"mask": 0.0}},
    "dfmvr_mixed": {"single_view_share": 1 / 3},
    "deng": {"method": "deng", "landmark_share": 0.6},
    "shang": {"method": "shang"},
    "dfmvr_multi_pie": {"data": "multi_pie", "loss": {"landmark_3d": 0.0}},
    "deng_multi_pie": {"data": "multi_pie", "method": "deng", "landmark_share": 0.6},
    "shang_multi_pie": {"data": "multi_pie", "method": "shang"},
}
"""Every model that a table of the paper names. Of Table IV: v1 is dfmvr_cnn, v2 dfmvr_unet, v3 dfmvr_resnet, v4
dfmvr_without_mask, v5 dfmvr_without_l3d, v6 dfmvr. dfmvr_mixed is that of Table III."""

TESTS = {
    "pixel_face": (
        *("mean_face", "shang_from_left", "shang_from_front", "shang_from_right", "deng"),
        *("dfmvr_cnn", "dfmvr_unet", "dfmvr_resnet", "dfmvr_without_mask", "dfmvr_without_l3d", "dfmvr"),
        *("dfmvr_mixed", "dfmvr_mixed_from_front", "floor"),
    ),
    "bosphorus": (
        *("mean_face", "shang_multi_pie_from_left", "shang_multi_pie_from_front", "shang_multi_pie_from_right"),
        *("deng_multi_pie", "dfmvr_multi_pie", "floor"),
    ),
}
"""The methods of Tables I to V by the data that they are tested on."""


class StudySection(Section):
    """What is measured on what."""

    tests: dict[str, tuple[str, ...]] = Field(
        TESTS,
        description="The methods scored on each data set: `mean_face`, `floor`, or names of `variants`; with "
        "`_from_left`, `_from_front` or `_from_right` after the name, the network sees that view alone.",
    )


class Config(Section):
    """Everything that can be set."""

    face_model: FaceModelSection = FaceModelSection()
    datasets: DatasetsSection = DatasetsSection()
    simulate: SimulateSection = SimulateSection()
    mesh: MeshSection = MeshSection()
    align: AlignSection = AlignSection()
    parse: ParseSection = ParseSection()
    train: TrainSection = TrainSection()
    register_: RegisterSection = Field(RegisterSection(), alias="register")
    report: ReportSection = ReportSection()
    study: StudySection = StudySection()
    variants: dict[str, dict[str, Any]] = Field(
        VARIANTS,
        description="The trained methods of the study: name to the keys of `train` in which each differs.",
    )

    def section(self, name: str) -> Any:
        """Give the section of a stage by the stage's name."""
        return getattr(self, "register_" if name == "register" else name)

    def variant(self, name: str) -> TrainSection:
        """Give the section `train` with the overrides of one variant.

        Raises:
            ConfigError: there is no such variant, or it has an unknown key or a wrong value.
        """
        if name not in self.variants:
            raise ConfigError(f"variants: no variant '{name}'; there are {', '.join(self.variants)}")
        merged = _merge(self.train.model_dump(mode="json"), self.variants[name])
        return validate({"train": merged}, f"variants.{name}").train


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Overlay nested dicts; what is not a dict replaces."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _merge(base[key], value) if both else value
    return result


def _nearest(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Say which keys the section at `location` knows, the nearest to its last part first."""
    for part in location[:-1]:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return ""
        model = field.annotation
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.4)
    return f"did you mean '{close[0]}'?" if close else f"the keys here are {', '.join(names)}"


def validate(values: dict[str, Any], source: str = "config") -> Config:
    """Check a nested dict and fill in the defaults.

    Raises:
        ConfigError: an unknown key (the nearest right one is named) or a value of the wrong type or range.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(map(str, problem["loc"]))
            if problem["type"] == "extra_forbidden":
                problems.append(f"unknown key '{key}'; {_nearest(Config, problem['loc'])}")
            else:
                problems.append(f"{key}: {problem['msg']}, found {problem['input']!r}")
        raise ConfigError(f"{source}: " + "; ".join(problems)) from None


def load(path: Path | str | None = None, overrides: list[str] | None = None) -> Config:
    """Read a YAML file, apply `section.key=value` overrides, check, and fill in the defaults.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; name a configuration such as config/config.yaml") from None
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: expected sections such as `train:`, found {type(values).__name__}")
    for override in overrides or []:
        key, separator, value = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override}: expected section.key=value")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override}: '{parent}' is not a section")
        place[last] = yaml.safe_load(value)
    return validate(values, str(path or "--set"))


def as_json(section: BaseModel, exclude: Collection[str] = ()) -> str:
    """One line of JSON from which `section` can be made again, less the keys in `exclude`."""
    return json.dumps(section.model_dump(mode="json", by_alias=True, exclude=set(exclude)))


def schema() -> str:
    """JSON schema of the configuration, for editors and validators."""
    return json.dumps(Config.model_json_schema(by_alias=True), indent=2) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    """Rows of the table of keys below `prefix`."""
    rows = []
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            rows += _rows(field.annotation, key + ".")
        else:
            default = json.dumps(field.get_default(call_default_factory=True), default=str)
            rows.append(f"| `{key}` | `{default}` | {field.description} |")
    return rows


def markdown() -> str:
    """Text of config/README.md: every key with its default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Made from `dfmvr/config.py` by `make docs`; do not edit. `config.yaml` is the embedded default and names only",
        "what differs from the defaults below; `ci.yaml` is a tiny run of everything. Another file is given with",
        "`snakemake --configfile FILE` or `dfmvr STAGE --config FILE`; one key with",
        "`dfmvr STAGE --set section.key=value`. A change of a section reruns its stage and what depends on it.",
        "A mistyped key is an error that names the nearest.",
    ]
    for name, field in Config.model_fields.items():
        section = field.annotation
        title = field.alias or name
        is_section = isinstance(section, type) and issubclass(section, BaseModel)
        lines += ["", f"## {title}", "", (section.__doc__ if is_section else field.description) or "", ""]
        lines += ["| key | default | meaning |", "| --- | --- | --- |"]
        if is_section:
            lines += _rows(section, f"{title}.")
        else:
            default = json.dumps(field.get_default(call_default_factory=True))
            lines.append(f"| `{title}` | `{default}` | {field.description} |")
    return "\n".join(lines) + "\n"


def write_docs(root: Path, check: bool = False) -> list[Path]:
    """Write config/README.md and the JSON schema below `root`, or only say which of them are out of date."""
    files = {root / "config/README.md": markdown(), root / "workflow/schemas/config.schema.json": schema()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale if not check else []:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return stale


if __name__ == "__main__":
    old = write_docs(Path(__file__).parents[1], check="--check" in sys.argv)
    if old and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(path.name for path in old)}; run `make docs`")
