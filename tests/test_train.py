"""Training: batches, losses that move the network, exact resume, one batch learnt by heart."""

import argparse
import copy
import csv
import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from gradients_of_a_team import gradients
from numpy.testing import assert_allclose
from toy_model import toy_model, toy_samples
from toy_network import SMALL, learn, random_parser, small_network, toy_batch, training

from dfmvr import cli
from dfmvr.config.training import TrainSection
from dfmvr.conventions import CLASSES
from dfmvr.errors import DataError
from dfmvr.networks.checkpoint import read_network
from dfmvr.networks.parallel import Team, share_normalisation
from dfmvr.networks.training import Checkpoints, add_gradients, cosine_rate
from dfmvr.parse.parser import save_parser
from dfmvr.train import augment, batches, command
from dfmvr.train.methods.df_mvr import what_is_seen
from dfmvr.train.samples import AlignedSamples

NO_WEIGHTS = dict.fromkeys(("photo", "mask", "landmark_2d", "landmark_3d", "regularisation"), 0.0)


@pytest.fixture
def samples(tmp_path):
    toy_samples(tmp_path, 6)
    return AlignedSamples(tmp_path / "align", tmp_path / "parse", "train")


def batch_of(samples, step, *vary, **settings):
    return batches.training_batch(samples, step, TrainSection(**{"batch_size": 2} | settings), torch.arange(101), *vary)


def test_a_batch_depends_on_its_step_alone(samples):
    first = [batch_of(samples, step, seed=3, placement=1.0, single_view_share=0.5) for step in range(5)]
    again = batch_of(samples, 4, seed=3, placement=1.0, single_view_share=0.5)
    assert all(torch.equal(a, b) for a, b in zip(first[4], again, strict=True))
    assert not torch.equal(first[3].images, first[4].images)


def test_photographs_are_moved_whether_or_not_their_colours_vary(samples):
    plain, moved = (batch_of(samples, 0, augment=False, placement=placement) for placement in (0.0, 1.0))
    assert torch.equal(plain.images, samples.batch(batches.epoch_order(6, 0, 0)[:2]).images)
    assert (moved.landmarks - plain.landmarks).abs().amax((2, 3)).min() > 0.05


def test_an_epoch_visits_every_sample_once(samples):
    seen = [samples.batch(batches.epoch_order(6, 0, 1)[i : i + 2]).landmarks for i in (0, 2, 4)]
    everything = samples.batch(np.arange(6)).landmarks
    assert sorted(torch.cat(seen).flatten(1).sum(1).tolist()) == sorted(everything.flatten(1).sum(1).tolist())


def test_mirroring_twice_is_nothing(samples):
    batch = samples.batch(np.arange(3))
    permutation = torch.from_numpy(np.random.default_rng(0).permutation(101))
    involution = torch.arange(101)
    involution[permutation[:50]], involution[permutation[50:100]] = permutation[50:100], permutation[:50]
    which = torch.tensor([True, False, True])
    twice = augment.mirror(augment.mirror(batch, which, involution), which, involution)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(batch, twice, strict=True))


def test_a_mirrored_landmark_stays_on_its_pixel(samples):
    batch = samples.batch(np.arange(1))
    dotted = batch._replace(images=torch.zeros_like(batch.images), landmarks=torch.full((1, 3, 68, 2), 7.5))
    dotted.images[:, 0, :, 7, 20] = 1
    dotted.landmarks[0, 0, 36] = torch.tensor([20.5, 7.5])
    mirrored = augment.mirror(dotted, torch.tensor([True]), torch.arange(101))
    x, y = mirrored.landmarks[0, 2, 45].tolist()
    assert mirrored.images[0, 2, 0, int(y), int(x)] == 1


def test_mirroring_exchanges_left_and_right_features(samples):
    batch = samples.batch(np.arange(1))
    masks = torch.full_like(batch.masks, CLASSES.index("left_eye"))
    mirrored = augment.mirror(batch._replace(masks=masks), torch.tensor([True]), torch.arange(101))
    assert (mirrored.masks == CLASSES.index("right_eye")).all()


def test_colours_vary_alike_in_all_views_and_stay_in_range(samples):
    images = samples.batch(np.arange(2)).images
    images[:, 1] = images[:, 0]
    varied = augment.vary_colours(images, torch.Generator().manual_seed(0))
    assert varied.min() >= 0
    assert varied.max() <= 1
    # The noise alone, at most 0.02, differs between views.
    assert (varied[:, 1] - varied[:, 0]).abs().mean() < 0.03
    assert (varied - images).abs().mean() > 0.03


def test_a_moved_photograph_takes_its_landmarks_along(samples):
    """A soft dot about each view's landmark stays about it, and the mask's disc too."""
    batch, size = samples.batch(np.arange(2)), samples.image_size
    landmarks = torch.full_like(batch.landmarks, size / 2)
    landmarks[:, :, 0] = torch.tensor([0.4 * size, 0.55 * size])
    grid = torch.arange(size) + 0.5
    x, y = landmarks[0, 0, 0]
    squared = (grid[None] - x) ** 2 + (grid[:, None] - y) ** 2
    images = torch.exp(-squared / 18).expand_as(batch.images).clone()
    masks = (squared < 25).long().expand_as(batch.masks).clone()
    dotted = batch._replace(images=images, masks=masks, landmarks=landmarks)
    moved = augment.move(dotted, 1.0, torch.Generator().manual_seed(0))
    assert moved.masks.dtype == torch.int64
    assert (moved.landmarks - landmarks).abs().amax((2, 3)).min() > 0.05  # every view moves by itself

    def centres(values):
        total = values.sum((-1, -2))
        return (
            torch.stack(((values * grid).sum((-1, -2)), (values * grid[:, None]).sum((-1, -2))), -1) / total[..., None]
        )

    assert torch.allclose(centres(moved.images[:, :, 0]), moved.landmarks[:, :, 0], atol=0.1)
    assert torch.allclose(centres(moved.masks.float()), moved.landmarks[:, :, 0], atol=0.4)
    spread = moved.landmarks.std((0, 1))[1] * 224 / size
    assert torch.all((spread > 0.5) & (spread < 12))


def test_the_rate_follows_half_a_cosine():
    rates = [cosine_rate(step, 8) for step in (0, 4, 8)]
    assert rates == pytest.approx([1, 0.5, 0])


def test_folders_that_disagree_are_an_error(tmp_path):
    toy_samples(tmp_path, 2)
    np.save(tmp_path / "parse" / "masks.npy", np.zeros((1, 3, 48, 48), np.uint8))
    with pytest.raises(DataError, match=r"masks\.npy: expected \(2, 3, 48, 48\).*found \(1, 3, 48, 48\)"):
        AlignedSamples(tmp_path / "align", tmp_path / "parse", "train")


def test_an_empty_split_is_an_error(tmp_path):
    toy_samples(tmp_path, 2)
    with pytest.raises(DataError, match="no sample of the split 'test'"):
        AlignedSamples(tmp_path / "align", tmp_path / "parse", "test")


@pytest.mark.parametrize("term", NO_WEIGHTS)
def test_each_loss_alone_moves_the_network(samples, term):
    network = small_network().train()
    # Away from the start, where the regularisation has no gradient.
    torch.nn.init.normal_(network.heads["identity"].weight, std=0.1)
    system = training(network, parser=random_parser(), **(NO_WEIGHTS | {term: 1.0}))
    system.losses(samples.batch(np.arange(2))).total.backward()
    gradient = sum(p.grad.abs().sum() for p in network.fusion.parameters() if p.grad is not None)
    assert torch.isfinite(gradient)
    assert gradient > 0


def test_the_mask_loss_falls_when_followed(samples):
    batch, parser = samples.batch(np.arange(2)), random_parser()
    batch = batch._replace(masks=parser(batch.images.flatten(0, 1)).argmax(1).unflatten(0, (2, 3)).clamp_min(1))
    network = small_network().train()
    system = training(network, parser=parser, **(NO_WEIGHTS | {"mask": 1.0}))
    # at 3e-3 the way is chaotic: rounding alone decides whether it ends above the start
    history = learn(network, lambda _: system.losses(batch).total, 50, 1e-3)
    assert np.mean(history[-5:]) < 0.9 * history[0]


def test_bfloat16_stays_near_float32(samples):
    batch = samples.batch(np.arange(2))
    systems = [
        training(small_network().eval(), parser=random_parser(), precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    exact, rough = (float(system.losses(batch).total.detach()) for system in systems)
    assert rough == pytest.approx(exact, rel=0.03)


def test_mirrored_landmarks_of_a_symmetric_model_are_an_involution():
    model = toy_model(41)
    half = torch.arange(41 * 41).view(41, 41)
    left = half[::4, :20:3].flatten()[:50]
    right = half.flip(1)[::4, :20:3].flatten()[:50]
    kept = torch.ones(106, dtype=torch.bool)
    kept[[3, 15, 17, 25, 27]] = False
    model.landmarks_106[kept] = torch.cat((left, right, half[20, 20].view(1)))
    assert command.mirrored_landmarks(model).tolist() == [*range(50, 100), *range(50), 100]


def test_one_batch_is_learnt_by_heart(tmp_path):
    model, batch = toy_batch(tmp_path)
    network = small_network(SMALL, seed=1).train()
    system = training(network, model, mask=0.0, regularisation=0.0)

    def losses(step):
        return system.losses(batch, rendered=step == 0 or step >= 60).total

    history = learn(network, losses, 120, 5e-3, cosine_rate)
    assert history[-1] < 0.1 * history[0]


def arguments(folder, output, *more):
    save_parser(folder / "parser.safetensors", random_parser())
    toy_model().save(folder / "model.npz")
    files = {"align": "align", "parse": "parse", "face-model": "model.npz", "parser": "parser.safetensors"}
    files = {name: folder / file for name, file in files.items()}
    files |= {"weights": output / "weights.safetensors", "metrics": output / "metrics.csv"}
    settings = ("epochs=2", "batch_size=2", "checkpoint_minutes=0.00001", "landmark_share=0.5")
    told = [("set", f"train.{setting}") for setting in (*settings, "network.width=4", "network.neck=16", *more)]
    options = [*files.items(), ("device", "cpu"), ("threads", 1), *told]
    return ["train", *(str(word) for name, value in options for word in (f"--{name}", value))]


@pytest.mark.parametrize("file", ["align/images.npy", "parse/masks.npy", "parse/weights.npy"])
def test_other_pictures_start_anew(tmp_path, file):
    """Though landmarks and settings are as they were, and the first training has ended or not."""
    toy_samples(tmp_path, 4)
    files = argparse.Namespace(
        align=tmp_path / "align", parse=tmp_path / "parse", face_model=tmp_path / "model.npz", parser=None
    )
    whole = arguments(tmp_path, tmp_path / "run", "loss.mask=0")  # without a parser
    assert cli.main(whole) == 0
    runs = [command._run(files, TrainSection(), with_parser=False)]
    np.save(tmp_path / file, np.load(tmp_path / file)[:, ::-1])
    runs.append(command._run(files, TrainSection(), with_parser=False))
    assert runs[0] != runs[1]
    assert cli.main(whole) == 0
    assert cli.main(arguments(tmp_path, tmp_path / "other", "loss.mask=0")) == 0
    run, other = ((tmp_path / name / "metrics.csv").read_text() for name in ("run", "other"))
    assert run == other


def test_other_settings_start_anew(tmp_path):
    toy_samples(tmp_path, 4)
    assert cli.main(arguments(tmp_path, tmp_path / "run")) == 0
    assert cli.main(arguments(tmp_path, tmp_path / "run", "seed=1")) == 0
    assert cli.main(arguments(tmp_path, tmp_path / "other", "seed=1")) == 0
    run, other = ((tmp_path / name / "metrics.csv").read_text() for name in ("run", "other"))
    assert run == other


def test_what_has_ended_is_trained_again_for_other_code_alone(tmp_path, monkeypatch):
    """Snakemake removes a rule's outputs before it runs it again, for an input that was merely touched too."""
    toy_samples(tmp_path, 4)
    outputs = [tmp_path / "run" / name for name in ("weights.safetensors", "metrics.csv")]

    def made_again():
        """What it gives, and at which step each part of the run began."""
        for path in outputs:
            path.unlink(missing_ok=True)
        assert cli.main(arguments(tmp_path, tmp_path / "run")) == 0
        parts = pd.read_csv(tmp_path / "run" / "parts.csv")
        return [path.read_bytes() for path in outputs], parts["first_step"].tolist()

    first, parts = made_again()
    assert parts == [0]
    again, parts = made_again()
    assert (again, parts) == (first, [0, 4])
    monkeypatch.setattr(command, "code_of", lambda _: (tmp_path / "model.npz",))
    anew, parts = made_again()
    assert (anew, parts) == (first, [0])


def test_a_training_goes_on_from_the_weights_of_another(tmp_path, capsys):
    toy_samples(tmp_path, 4)
    assert cli.main(arguments(tmp_path, tmp_path / "first")) == 0
    start = tmp_path / "first" / "weights.safetensors"
    still = (f"initial_weights={start}", "seed=1", "learning_rate=1e-12")
    assert cli.main(arguments(tmp_path, tmp_path / "second", *still)) == 0
    first, second = (
        dict(read_network(tmp_path / name / "weights.safetensors").network.named_parameters())
        for name in ("first", "second")
    )
    for name, weights in first.items():
        torch.testing.assert_close(second[name], weights, rtol=1e-5, atol=1e-7)
    assert TrainSection(initial_weights=start).files == [start]  # a change of which starts the training anew
    for what, message in (
        (f"initial_weights={tmp_path / 'none'}", "none: no such file; make it with `dfmvr train`"),
        (f"initial_weights={tmp_path / 'parser.safetensors'}", "not a file written by `dfmvr train`"),
    ):
        assert cli.main(arguments(tmp_path, tmp_path / "third", what)) == 2
        assert message in capsys.readouterr().err
    wider = arguments(tmp_path, tmp_path / "third", f"initial_weights={start}", "network.width=6")
    assert cli.main(wider) == 2
    assert "has network.width 4, expected 6, as the settings have it" in capsys.readouterr().err


def test_a_damaged_checkpoint_starts_anew(tmp_path):
    network = small_network()
    optimiser = torch.optim.Adam(network.parameters())
    checkpoints = Checkpoints(tmp_path / "last.pt", "x")
    checkpoints.save(3, network, optimiser, aside={2: "torn"})
    state = checkpoints.restore(network, optimiser)
    assert (state["step"], state["aside"]) == (3, {2: "torn"})
    assert Checkpoints(tmp_path / "last.pt", "y").restore(network, optimiser) == {}
    checkpoints.path.write_bytes(checkpoints.path.read_bytes()[:1000])
    assert checkpoints.restore(network, optimiser) == {}


def test_metrics_name_every_loss(tmp_path):
    toy_samples(tmp_path, 2)
    cli.main(arguments(tmp_path, tmp_path / "run"))
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["0", "1"]
    first, row = ({name: float(value) for name, value in row.items()} for row in rows)
    # Half of the steps are of landmarks alone.
    assert np.isnan(first["photo"])
    assert first["total"] == pytest.approx(
        0.02 * first["landmark_2d"] + first["landmark_3d"] + 3e-4 * first["regularisation"], rel=1e-4
    )
    weighted = 4 * row["photo"] + 3 * row["mask"] + 0.02 * row["landmark_2d"] + row["landmark_3d"]
    assert row["total"] == pytest.approx(weighted + 3e-4 * row["regularisation"], rel=1e-4)


def test_a_loss_that_is_not_finite_is_an_error(tmp_path, capsys):
    toy_samples(tmp_path, 2)
    with np.load(tmp_path / "align" / "samples.npz") as archive:
        table = dict(archive)
    table["landmarks"] = np.full_like(table["landmarks"], np.nan)
    np.savez(tmp_path / "align" / "samples.npz", **table)
    assert cli.main(arguments(tmp_path, tmp_path / "run")) == 2
    assert "step 0: expected finite losses, found" in capsys.readouterr().err


def test_single_views_are_drawn_with_their_probabilities():
    seen = batches.draw_single_views(40_000, 1 / 3, torch.Generator().manual_seed(0))
    counts = torch.stack([seen.all(1), *(seen[:, v] & (seen.sum(1) == 1) for v in range(3))]).float().mean(1)
    assert torch.allclose(counts, torch.tensor([2 / 3, 1 / 9, 1 / 9, 1 / 9]), atol=0.008)
    assert counts.sum() == 1
    assert batches.draw_single_views(50, 0.0, torch.Generator()).all()


def test_what_is_not_seen_is_black_to_the_network_and_a_target_all_the_same(samples):
    batch = batch_of(samples, 3, augment=False, single_view_share=1.0)
    images, masks = what_is_seen(batch)
    for i, view in itertools.product(range(len(images)), range(3)):
        expected = batch.images[i, view] if batch.seen[i, view] else torch.zeros(())
        assert torch.equal(images[i, view], expected.expand_as(images[i, view]))
        assert bool(masks[i, view].any()) == bool(batch.seen[i, view])
    whole = batch_of(samples, 3, augment=False)
    assert torch.equal(whole.images, batch.images)
    assert torch.equal(whole.masks, batch.masks)


def torchrun(*command):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_two_processes_find_the_gradient_of_one(tmp_path, process_group):
    toy_samples(tmp_path, 8)
    torchrun(str(Path(__file__).with_name("gradients_of_a_team.py")), str(tmp_path), str(tmp_path / "two.pt"))
    one, two = gradients(tmp_path, Team()), torch.load(tmp_path / "two.pt", weights_only=True)
    assert one.keys() == two.keys()
    largest = max(float(value.norm()) for name, value in one.items() if value.dim())
    for name, value in one.items():
        # The gradient of a bias before a normalisation is zero but for rounding; losses are noted in single precision.
        assert float((value - two[name]).norm()) <= 1e-6 * float(value.norm()) + 1e-12 * largest, name


@pytest.mark.parametrize(
    ("share", "first"), [(0.9, False), (0.9, True), (0.6, False), (1 / 3, False), (0, True), (1, False)]
)
def test_the_steps_with_renderings_are_spread_or_last(share, first):
    settings = TrainSection(landmark_share=share, landmark_first=first)
    steps = [step for step in range(450) if command.has_renderings(step, 450, settings)]
    assert len(steps) == 450 - round(share * 450)
    if first:
        assert steps == list(range(450 - len(steps), 450))
    elif steps:
        assert np.ptp(np.diff(steps)) <= 1
        assert steps[-1] == 449


def test_deng_has_a_share_of_steps_of_its_own():
    settings = TrainSection(method="deng", landmark_share=0.9, deng={"landmark_share": 0.25})
    assert sum(command.has_renderings(step, 100, settings) for step in range(100)) == 75


def losses_of(folder):
    with (folder / "metrics.csv").open() as stream:
        return np.array([[float(value) for value in row.values()] for row in csv.DictReader(stream)])


def test_two_processes_train_as_one(tmp_path):
    toy_samples(tmp_path, 8)
    settings = ("batch_size=4", "epochs=3", "landmark_share=0.34", "learning_rate=1e-5")
    assert cli.main(arguments(tmp_path, tmp_path / "one", *settings)) == 0
    torchrun("-m", "dfmvr", *arguments(tmp_path, tmp_path / "two", *settings))
    one, two = losses_of(tmp_path / "one"), losses_of(tmp_path / "two")
    assert one.shape == (6, 9)
    # Adam takes steps of one size whatever that of the gradient, so rounding errors grow, in proportion to the rate.
    assert_allclose(one, two, rtol=1e-3, atol=1e-4)


def test_pieces_of_a_batch_add_up_to_its_gradient(samples):
    network = small_network().eval()  # so that no row sees another through a batch normalisation
    torch.nn.init.normal_(network.heads["identity"].weight, std=0.1)
    system = training(network, mask=0.0)
    batch = samples.batch(np.arange(4))
    found = []
    for count in (1, 2):
        network.zero_grad()
        pieces = batch.pieces(count, lambda tensor: tensor)
        assert [len(piece.images) for piece in pieces] == [4 // count] * count
        terms = add_gradients(lambda _, b: system.losses(b)._asdict(), 0, pieces, Team(), network)
        found.append(
            (float(terms["total"]), network.fusion.state_dict(), network.heads["identity"].weight.grad.clone())
        )
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][2], found[1][2], rtol=1e-3, atol=1e-6)


def test_a_batch_that_does_not_divide_is_an_error(tmp_path, capsys):
    toy_samples(tmp_path, 4)
    assert cli.main(arguments(tmp_path, tmp_path / "run", "batch_size=4", "accumulate=3")) == 2
    assert "train.accumulate 3 pieces" in capsys.readouterr().err


def test_shared_normalisation_of_one_process_is_the_plain_one(process_group):
    torch.manual_seed(0)
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    plain = torch.nn.BatchNorm2d(3).double().train()
    torch.nn.init.normal_(plain.weight)
    shared = copy.deepcopy(torch.nn.Sequential(plain))
    share_normalisation(shared)
    results = []
    for module in (plain, shared):
        out = module(x)
        (gradient,) = torch.autograd.grad((out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum(), x)
        results.append((out, gradient))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value.double(), shared.state_dict()[f"0.{name}"].double(), atol=1e-12)


def test_kills_at_random_moments_change_nothing(tmp_path):
    toy_samples(tmp_path, 4)
    settings = ("epochs=20", "network.fusion=cnn", "network.backbone=resnet")  # few tensors, hence quick checkpoints
    assert cli.main(arguments(tmp_path, tmp_path / "whole", *settings)) == 0
    command = arguments(tmp_path, tmp_path / "killed", *settings)
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.pt"
    processes = multiprocessing.get_context("forkserver")  # which has imported what takes seconds
    modules = ("train.methods.df_mvr", "train.command", "config.configuration")
    processes.set_forkserver_preload(["torch._dynamo", "torch._inductor", *(f"dfmvr.{name}" for name in modules)])

    def written():
        return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0

    rng, kills = np.random.default_rng(0), 0
    while not (tmp_path / "killed" / "weights.safetensors").exists():
        seen = [written()]
        run = processes.Process(target=cli.main, args=(command,))
        run.start()
        while kills < 10 and run.is_alive():
            if written() != seen[-1]:  # a step is done
                seen.append(written())
            if len(seen) == 3:
                time.sleep(rng.uniform(0, (seen[2] - seen[1]) / 1e9))  # any moment of the next one
                run.kill()
                kills += 1
                break
            time.sleep(0.001)
        run.join()
    assert kills >= 5  # ten, unless the machine was too busy to see every step
    assert len((tmp_path / "whole" / "metrics.csv").read_text().splitlines()) == 41
    whole, killed = (tmp_path / run for run in ("whole", "killed"))
    assert (whole / "metrics.csv").read_text() == (killed / "metrics.csv").read_text()
    states = [read_network(folder / "weights.safetensors").network.state_dict() for folder in (whole, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "optimiser" not in torch.load(checkpoint, weights_only=True)  # of a run that has ended
    with (killed / "parts.csv").open() as stream:
        parts = [(int(row["first_step"]), int(row["steps"]), float(row["seconds"])) for row in csv.DictReader(stream)]
    firsts = [first for first, _, _ in parts]
    assert len(parts) > kills / 2  # of the ten, those that a checkpoint was written in
    assert firsts == sorted(set(firsts))
    assert all(first + steps <= after for (first, steps, _), after in zip(parts, [*firsts[1:], 40], strict=True))
    assert all(seconds > 0 for _, _, seconds in parts)
    assert len((whole / "parts.csv").read_text().splitlines()) == 2


def test_freed_memory_is_kept_for_the_next_tensor():
    """A large block lies in the heap, which stays as large when it is freed, and not in a mapping of its own."""
    script = """
import ctypes, sys
from dfmvr.train.memory import keep_freed_memory
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    sys.exit("no glibc of 2.33 or newer")
libc.mallinfo2.restype, libc.malloc.restype, libc.free.argtypes = Mallinfo, ctypes.c_void_p, [ctypes.c_void_p]
print(int(keep_freed_memory() if len(sys.argv) > 1 else 0))
before = libc.mallinfo2()
block = libc.malloc(ctypes.c_size_t(16 << 20))
held = libc.mallinfo2()
libc.free(block)
after = libc.mallinfo2()
print(held.hblks - before.hblks, held.arena - before.arena >> 20, after.arena == held.arena)
"""
    # What glibc does from the start, before it guesses from the sizes that it meets.
    start = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(128 * 1024))

    def run(*arguments):
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, env=os.environ | start, capture_output=True, text=True, check=False)
        if "no glibc" in done.stderr:
            pytest.skip(done.stderr)
        return done.stdout.split()

    assert run()[:3] == ["0", "1", "0"]
    assert run("keep") == ["1", "0", "16", "True"]
