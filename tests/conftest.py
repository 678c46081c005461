"""One thread a test process unless the environment says otherwise: those of pytest-xdist share the cores, and threads
that wait for each other spin."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def heads_file(tmp_path_factory):
    """heads.npz of toy heads."""
    from toy_heads import toy_heads

    path = tmp_path_factory.mktemp("heads") / "heads.npz"
    toy_heads().save(path)
    return path


@pytest.fixture(scope="session")
def people(heads_file):
    """People with toy heads."""
    from dfmvr.simulate.people.anny import AnnyHeads
    from dfmvr.simulate.people.person import People

    return People(AnnyHeads(heads_file, 96))


@pytest.fixture(scope="session")
def built():
    """A small open model, its head generator and its summary."""
    from dfmvr.config.data import FaceModelSection
    from dfmvr.face_model.anny.build import build

    return build(FaceModelSection(subdivisions=1, population=150, identity_components=40, albedo_components=20))


@pytest.fixture(scope="session")
def open_model(built):
    """The model of `built`."""
    return built[0]


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """What all stages leave for faces of a toy model; nothing may be changed there."""
    from toy_results import write_results

    root = tmp_path_factory.mktemp("results")
    write_results(root, tmp_path_factory.mktemp("data"))
    return root


@pytest.fixture
def process_group():
    """A group of this process alone."""
    import torch

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def trained(tmp_path):
    """A folder with a small network, its parser and its face model."""
    from toy_network import write_toy_training

    return write_toy_training(tmp_path)
