"""Foretell what the trainings of a study take: samples, steps and operations, and, measured here, time and memory.

A measured step has network, renderer, parser, losses and Adam at their sizes, and noise for photographs.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.datasets.layouts import open_dataset
from dfmvr.datasets.multi_pie.dataset import EXPRESSIONS
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.packed import read_model
from dfmvr.geometry.camera import project
from dfmvr.networks.heads import NetworkSizes
from dfmvr.parse.parser import FaceParser, ParserSpec
from dfmvr.train.batches import steps_per_epoch
from dfmvr.train.command import has_renderings, training_of
from dfmvr.train.samples import Batch

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config
    from dfmvr.config.data import MultiPieData
    from dfmvr.config.training import ParseSection, TrainSection

PIXEL_FACE = {"release": 8_483, "authors": 5_229}
"""Samples of a complete copy in each layout."""
TRAINING_SHARE = {("release", "release"): 655 / 855, ("authors", "release"): 4_173 / 5_229}
"""Share of them for training, by layout and split; 0.8 in others, as the paper has it."""

MULTI_PIE_SUBJECTS = {1: 249, 2: 203, 3: 230, 4: 239}
"""People of each session."""
LIGHTS = 20


class Measured(NamedTuple):
    """A step as it was measured."""

    seconds: float
    peak_bytes: int  # of the GPU where there is one, else of the process


def training_samples(config: Config, data: str) -> int:
    """How many samples a data set has for training: those listed in its folder, else about those of a complete copy.

    Of a stand-in, those that its section of `simulate` asks for.
    """
    section, made = getattr(config.datasets, data), getattr(config.simulate, data)
    if section.root is not None and section.root.is_dir():
        listed = open_dataset(data, section.root, section).samples()
        return sum(sample.split == "train" and None not in sample.photos for sample in listed)
    if data == "multi_pie":
        moments = made.subjects * made.recordings * made.illuminations
        moments = moments if section.root is None else _moments(section)
        people = made.subjects if section.root is None else _people(section)
        held = max(round(section.test_share * people), int(section.test_share > 0 and people > 1))
        return round(len(section.cameras) * moments * (1 - held / people))
    if section.root is None:
        return made.train_subjects * made.expressions
    return round(TRAINING_SHARE.get((section.layout, section.split), 0.8) * PIXEL_FACE[section.layout])


def _people(section: MultiPieData) -> int:
    """How many people a complete copy of Multi-PIE has."""
    return MULTI_PIE_SUBJECTS[1] if section.layout == "cropped_128" else 337


def _moments(section: MultiPieData) -> int:
    """How often all cameras of a complete copy of Multi-PIE took a photograph at once."""
    sessions = {1} if section.layout == "cropped_128" else set(section.sessions or MULTI_PIE_SUBJECTS)
    recordings = [
        session
        for session, recording in EXPRESSIONS
        if session in sessions and recording in (section.recordings or (recording,))
    ]
    return sum(MULTI_PIE_SUBJECTS[session] for session in recordings) * len(section.illuminations or range(LIGHTS))


def steps_of(settings: TrainSection, samples: int) -> int:
    """Steps of a training."""
    return settings.epochs * steps_per_epoch(samples, settings.batch_size)


def noise(model: MorphableModel, rows: int, image_size: int) -> Batch:
    """A batch of noise with the landmarks of the mean face."""
    pixels = (rows, len(VIEWS), image_size, image_size)
    points = model.mean[model.landmarks_68].expand(rows, len(VIEWS), -1, -1)
    return Batch(
        torch.rand(rows, len(VIEWS), 3, image_size, image_size),
        torch.randint(len(CLASSES), pixels),
        torch.full(pixels, 128.0),
        project(points, image_size)[..., :2].contiguous(),
        model.mean[model.landmarks_101].expand(rows, -1, -1),
        torch.ones(rows, len(VIEWS), dtype=torch.bool),
    )


def time_steps(
    settings: TrainSection, parse: ParseSection, image_size: int, face_model: Path, rows: int, device: str
) -> Measured:
    """Take steps of a training, one that warms up first, and tell what they take; see `measured`."""
    model = read_model(face_model)
    sizes = NetworkSizes(image_size, model.identity_size, model.expression_size, model.texture_size)
    training = training_of(settings)
    network = training.make_network(settings, sizes).to(device).train()
    spec = ParserSpec(image_size, parse.width, parse.output_stride)
    parser = FaceParser(spec).to(device) if training.needs_parser(settings) else None
    batch = Batch(*(values.to(device) for values in noise(model, rows, image_size)))
    system = training(settings, network, model.to(device), parser, image_size)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)

    def step(rendered: bool) -> float:
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        system.losses(batch, rendered).total.backward()
        optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    count = 1000
    share = sum(has_renderings(k, count, settings) for k in range(count)) / count
    seconds = 0.0
    for rendered, part in ((True, share), (False, 1 - share)):
        if part:
            step(rendered)
            seconds += part * step(rendered)
    return Measured(seconds, torch.cuda.max_memory_allocated() if device != "cpu" else _peak_of_process())


def _peak_of_process() -> int:
    """The most memory that this process has had, bytes."""
    import resource  # here, as Windows lacks it

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measured(
    settings: TrainSection, parse: ParseSection, image_size: int, face_model: Path, rows: int, device: str
) -> Measured:
    """Measure a step in a process of its own, so that the memory is its own too.

    Args:
        settings: of the training.
        parse: the parser, whose width tells what the mask loss costs.
        image_size: pixels.
        face_model: the model that is rendered (.npz).
        rows: samples at once.
        device: cpu or cuda.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(time_steps, settings, parse, image_size, face_model, rows, device).result()
