"""What trainings take: samples and steps against the data sets' own numbers, and a step that is taken."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_model import toy_model
from toy_network import QUICK, SIZE

from dfmvr.config.configuration import load
from dfmvr.config.data import MultiPieData
from dfmvr.config.training import ParseSection, TrainSection
from dfmvr.datasets.multi_pie.dataset import YAWS, write_photo
from dfmvr.datasets.multi_pie.folders import PhotoName
from dfmvr.fetch.sources import sources
from dfmvr.losses import NOSE_AND_INNER_MOUTH
from dfmvr.train import describe, foretell

PAPER = Path(__file__).parents[1] / "config" / "paper.yaml"


def test_a_complete_copy_has_the_numbers_that_its_source_tells():
    known = sources()
    assert {layout: counts["samples"] for layout, counts in known["pixel_face"].counts.items()} == foretell.PIXEL_FACE
    cropped = known["multi_pie"].counts["cropped_128"]
    assert cropped["subjects"] == foretell.MULTI_PIE_SUBJECTS[1]
    moments = foretell._moments(MultiPieData(layout="cropped_128"))
    assert cropped["photographs"] == 13 * moments  # two of the fifteen cameras are not in that version
    whole = len(YAWS) * foretell._moments(MultiPieData())
    assert foretell._people(MultiPieData()) == known["multi_pie"].counts["original"]["subjects"]
    assert whole == pytest.approx(known["multi_pie"].counts["original"]["photographs"], rel=0.01)


def test_the_papers_trainings_have_the_steps_that_its_numbers_give():
    study = load(PAPER)
    samples = {data: foretell.training_samples(study, data) for data in ("pixel_face", "multi_pie")}
    assert samples == {"pixel_face": round(0.8 * 8483), "multi_pie": 2 * (249 - 12) * 2 * 20}
    assert foretell.steps_of(study.train, samples["pixel_face"]) == 512 * (6786 // 16)


@pytest.mark.parametrize(
    ("keys", "moments"),
    [
        ({"sessions": (1, 3)}, 2 * 249 + 3 * 230),
        ({"recordings": (1,)}, 249 + 203 + 230 + 239),
        ({"sessions": (4,)}, 717),
    ],
)
def test_moments_can_be_chosen(keys, moments):
    assert foretell._moments(MultiPieData(**keys)) == 20 * moments
    assert foretell._moments(MultiPieData(**keys, illuminations=(0, 7))) == 2 * moments


def test_a_folder_is_counted_and_a_stand_in_has_what_it_is_asked_for(tmp_path):
    for camera in ("080", "051", "190"):
        for person in (1, 2):
            name = PhotoName.of(person, 1, 1, camera, 0)
            write_photo(tmp_path, name, np.zeros((8, 8, 3), np.uint8))
    write_photo(tmp_path, PhotoName.of(3, 1, 1, "051", 0), np.zeros((8, 8, 3), np.uint8))  # lacks its side views
    assert foretell.training_samples(load(None, [f"datasets.multi_pie.root={tmp_path}"]), "multi_pie") == 2
    made = load(None, ["simulate.multi_pie.subjects=5", "simulate.pixel_face.train_subjects=7"])
    found = [foretell.training_samples(made, data) for data in ("multi_pie", "pixel_face")]
    assert found == [2 * 4 * 2 * 2, 7 * 2]


def settings_of(method, **more):
    small = {"backbone_width": 16, "neck": 16}
    return TrainSection(method=method, network=QUICK, deng={"network": small}, shang={"network": small}, **more)


@pytest.fixture
def model_file(tmp_path):
    toy_model().save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


@pytest.mark.parametrize("method", ["df_mvr", "deng", "shang"])
def test_a_step_of_each_method_is_taken(method, model_file):
    found = foretell.time_steps(settings_of(method), ParseSection(width=8), SIZE, model_file, 2, "cpu")
    assert 0 < found.seconds < 600
    assert found.peak_bytes > 50 * 2**20  # a process with torch


def test_noise_is_seen_like_a_batch_of_photographs():
    model = toy_model()
    batch = foretell.noise(model, 3, SIZE)
    assert batch.images.shape == (3, 3, 3, SIZE, SIZE)
    assert batch.landmarks.shape == (3, 3, 68, 2)
    assert (batch.landmarks[0, 0, NOSE_AND_INNER_MOUTH] - SIZE / 2).abs().max() < SIZE / 2
    assert torch.equal(batch.landmarks_3d[1], model.mean[model.landmarks_101])
    assert batch.seen.all()


def test_the_table_multiplies_what_was_measured(model_file, capsys):
    parser = argparse.ArgumentParser()
    describe.add_arguments(parser)
    words = ["--measure", "--device", "cpu", "--face-model", str(model_file), "--image-size", str(SIZE)]
    args = parser.parse_args([*words, "--method", "deng"])
    small = "{landmark_share: 0, network: {backbone_width: 16, neck: 16}}"
    keys = ["train.epochs=50", f"train.deng={small}", "simulate.pixel_face.train_subjects=200"]
    args.configuration = load(None, keys)
    describe.main(args, args.configuration.train)
    head, row, total = (line.split() for line in capsys.readouterr().out.splitlines()[-3:])
    told = dict(zip(head, row, strict=True))
    assert [told[key] for key in ("training", "data", "samples", "steps")] == ["deng", "pixel_face", "400", "1,250"]
    assert float(told["hours"]) == pytest.approx(float(told["s/step"]) * 1250 / 3600, abs=0.01)
    assert total[-1] == told["hours"]
