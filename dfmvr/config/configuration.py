"""The whole configuration: its sections, read from a file and checked.

A key that no section knows is an error that names the nearest right one.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from dfmvr.config.data import DatasetsSection, FaceModelSection, MeshSection, SimulateSection
from dfmvr.config.evaluation import RegisterSection, ReportSection, StudySection
from dfmvr.config.section import Section
from dfmvr.config.training import AlignSection, ParseSection, TrainSection
from dfmvr.errors import ConfigError
from dfmvr.study.methods import FLOOR, OVERRIDES, TestedMethod, read_key
from dfmvr.study.paper import COMPARISONS


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
        OVERRIDES,
        description="Networks that can be trained: name to the keys of `train` in which each differs; those given "
        "here are added to the built-in ones or replace them. `<variant>_seed1` is the same with another seed.",
    )

    @field_validator("variants", mode="before")
    @classmethod
    def _with_built_in(cls, given: Any) -> Any:
        """Complete the given variants with the built-in ones."""
        return {**OVERRIDES, **given} if isinstance(given, dict) else given

    def section(self, name: str) -> Any:
        """Give the section of a stage by the stage's name."""
        return getattr(self, "register_" if name == "register" else name)

    def supplied(self, name: str) -> list[Path]:
        """The folders and files that the user supplies of a data set, model or weights, by their names in `fetch`."""
        places = [self.datasets.root_of(name)]
        if name == self.face_model.source:
            places.append(self.face_model.folder)
        if name == "resnet50":
            methods = {self.variant(training).method for training in self.trained_on()}
            places += [
                getattr(self.train, method).imagenet_weights for method in ("deng", "shang") if method in methods
            ]
        return [place for place in places if place]

    def variant(self, name: str) -> TrainSection:
        """Give the section `train` with the overrides of one variant, or of another training of it.

        Raises:
            ConfigError: there is no such variant, or it has an unknown key or a wrong value.
        """
        method = read_key(name)
        base, seed = (name, 0) if name in self.variants else (method.variant.key, method.seed)
        if base not in self.variants:
            raise ConfigError(f"variants: no variant '{base}'; there are {', '.join(self.variants)}")
        merged = _merge(self.train.model_dump(mode="json"), self.variants[base])
        merged["seed"] += seed
        return validate({"train": merged}, f"variants.{name}").train

    def kind_of(self, method: str) -> str:
        """How the network of a tested method was trained, see `TrainSection.kind`."""
        return self.variant(read_key(method).training).kind

    def training(self, name: str) -> str:
        """What one variant is trained by, as one line of JSON, without what `train` has for other methods."""
        settings = self.variant(name)
        others = set().union(*_OF_ONE_KIND.values()) - _OF_ONE_KIND[settings.kind]
        return settings.as_json(exclude={*others, "hours"})

    def tests_of(self, page: str = "report") -> list[tuple[TestedMethod, str]]:
        """What is tested, each training by itself, and the data set that it is tested on.

        Args:
            page: `table_1` and so on for what that table of the paper shows, `report` for all.
        """
        tests = {dataset: tuple(map(read_key, keys)) for dataset, keys in self.study.tests.items()}
        shown = {comparison.name: comparison.tests for comparison in COMPARISONS}.get(page)
        if shown is not None:
            tests = {d: [m for m in methods if m.first.key in shown.get(d, ())] for d, methods in tests.items()}
        elif self.simulate.ict_facekit and "pixel_face" in tests:
            tests["pixel_face_ict"] = tests["pixel_face"]
        return [
            (replace(method, seed=seed) if seed else method, dataset)
            for dataset, methods in tests.items()
            for method in methods
            for seed in range(self.study.seeds if method.variant.has_network else 1)
        ]

    def data_of(self, page: str = "report") -> list[str]:
        """The data sets that a page is about: those tested on, then those trained on."""
        tested = [dataset for _, dataset in self.tests_of(page)]
        return list(dict.fromkeys([*tested, *self.trained_on(page).values()]))

    def shown_on_scan(self, page: str = "report") -> list[str]:
        """The methods that a page shows on the scan of a real person, on `report` alone.

        They are the mean face and those of DF-MVR's networks that see all views: photographs of one's own are for them.
        """
        if page != "report" or not self.simulate.real_scan:
            return []
        tested = [m for m, _ in self.tests_of(page) if m.key != FLOOR and not m.view]
        ours = [m.key for m in tested if not m.variant.has_network or self.variant(m.training).method == "df_mvr"]
        return list(dict.fromkeys(ours))

    def shown_without_scans(self, page: str = "report") -> dict[str, str]:
        """The trainings that a page shows on the people held out of what they are trained on, though no scan is there.

        They are DF-MVR's on Multi-PIE (Fig. 16), if they are tested elsewhere, and are on `report` alone.
        """
        kept = page == "report" and self.datasets.multi_pie.test_share > 0
        first = [m.training for m, _ in self.tests_of(page) if m.training in self.variants and not m.view]
        return {
            name: "multi_pie"
            for name in first
            if kept and self.variant(name).data == "multi_pie" and self.variant(name).method == "df_mvr"
        }

    def trained_on(self, page: str = "report") -> dict[str, str]:
        """The trainings that the tests of a page need, and the data set that each is trained on.

        Raises:
            ConfigError: a tested variant is not among `variants`, or is wrong.
        """
        trained = {m.training: None for m, _ in self.tests_of(page) if m.variant.has_network}
        return {name: self.variant(name).data for name in trained}

    @property
    def compares_keypoints(self) -> bool:
        """Whether a training compares the face model's 3D landmarks with those that Pixel-Face itself marks.

        The stand-in's are the open model's.
        """
        trainings = map(self.variant, self.trained_on())
        return self.datasets.pixel_face.root is not None and any(
            training.method == "df_mvr" and training.data == "pixel_face" and training.loss.compares_3d
            for training in trainings
        )


_OF_ONE_KIND = {
    "df_mvr": {"network", "loss", "landmark_share"},
    "released_code": {"network", "loss", "landmark_share", "released"},
    "deng": {"deng"},
    "shang": {"shang", "landmark_share"},
}
"""The keys of `train` that not all kinds of training read, by those that do."""


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Overlay nested dicts; what is not a dict replaces."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _merge(base[key], value) if both else value
    return result


def _nearest(location: tuple[Any, ...]) -> str:
    """Say which keys the section at `location` knows, the nearest to its last part first."""
    above = "".join(f"{part}." for part in location[:-1])
    known = [key.removeprefix(above).split(".")[0] for key, _ in Config.leaves() if key.startswith(above)]
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    return f"did you mean '{close[0]}'?" if close else f"the keys here are {', '.join(dict.fromkeys(known))}"


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
                problems.append(f"unknown key '{key}'; {_nearest(problem['loc'])}")
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
    return validate(overridden(values, overrides or []), str(path or "--set"))


def overridden(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A nested dict, changed in place, in which `section.key=value` overrides have replaced what they name.

    Raises:
        ConfigError: one is not of this form, its value is not YAML, or it names a key below a value.
    """
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override}: expected section.key=value")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override}: '{parent}' is not a section")
        try:
            place[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"--set {override}: expected a value as YAML has it ({' '.join(str(error).split())})"
            ) from None
    return values
