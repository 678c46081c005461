"""Sections of what is measured and shown: protocols, tests, the report."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from dfmvr.config.section import Section
from dfmvr.study.paper import default_tests


class ProtocolSection(Section):
    """One way of measuring a prediction against a scan."""

    # Paper: the front of the face is cropped, the registration is that of Deng et al. (V-A); no sizes are told. Theirs
    # are 95 mm about the nose tip and a free scale.

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
    points: int = Field(
        5_000, ge=0, description="Points of the crop in the last steps of ICP, evenly strided; 0 takes all."
    )
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


class StudySection(Section):
    """What is measured on what."""

    tests: dict[str, tuple[str, ...]] = Field(
        default_tests(),
        description="The methods scored on each data set: `mean_face`, `floor`, or names of `variants`; with "
        "`_from_left`, `_from_front` or `_from_right` after the name, the network sees that view alone.",
    )
    seeds: int = Field(
        1,
        ge=1,
        le=100,
        description="Trainings of each variant; their seeds follow `train.seed`, and tables tell the spread.",
    )
