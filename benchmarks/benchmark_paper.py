"""One step of every training of config/paper.yaml at its full size, on stand-ins in the licensed layouts.

Pixel-Face, Multi-PIE, Bosphorus and CelebAMask-HQ are stand-ins of a few people; the Basel Face Model and ImageNet's
weights are random numbers in their true files. The workflow does the rest: checks, import, meshes, crops, masks, and
each training with two samples. What differs from the preset is `SLICE`. Prints markdown; the memory is sampled.

    python benchmarks/benchmark_paper.py FOLDER [--trainings dfmvr deng shang]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from toy_faces import write_bfm
from toy_network import torchvision_resnet

from dfmvr.config.configuration import load
from dfmvr.config.data import FaceModelSection
from dfmvr.face_model.bfm.build import build
from dfmvr.face_model.bfm.files import INDEX_101
from dfmvr.face_model.model import MorphableModel

ROOT = Path(__file__).resolve().parents[1]
PAPER = ROOT / "config" / "paper.yaml"
SLICE = {
    "align": {"landmarks": "annotated"},
    "datasets": {"multi_pie": {"layout": "original"}},
    "parse": {"epochs": 1, "batch_size": 4},
    "train": {"gpus": 0, "epochs": 1, "batch_size": 2},
}
PEOPLE = (
    "simulate.pixel_face={train_subjects: 2, test_subjects: 1, expressions: 1}",
    "simulate.multi_pie={subjects: 3, recordings: 1, illuminations: 1}",
    "simulate.bosphorus={subjects: 1, expressions: 0}",
    "simulate.celebamask_hq.images=10",
)
MODEL, HEADS = (Path("results/face_model") / name for name in ("open_model.npz", "heads.npz"))


def run(folder: Path, *words: str | Path) -> None:
    """Run a module of Python in the folder."""
    subprocess.run([sys.executable, "-m", *map(str, words)], cwd=folder, check=True)


def make(folder: Path, *targets: str | Path) -> None:
    """Let the workflow make what is named."""
    files = ["--configfile", PAPER, folder / "slice.yaml"]
    run(folder, "snakemake", "--snakefile", folder / "Snakefile", "--cores", "1", *files, "--", *targets)


def prepare(folder: Path) -> None:
    """Write the data as they would be delivered."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("workflow", "dfmvr", "config", "profiles", "Snakefile"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "slice.yaml").write_text(yaml.safe_dump(SLICE), encoding="utf-8")
    data = folder / "data"
    for name in ("bfm_2009", "pixel_face", "multi_pie", "bosphorus", "celebamask_hq"):
        (data / name).mkdir(parents=True, exist_ok=True)  # so that the workflow can be planned
    torch.save(torchvision_resnet((3, 4, 6, 3), 64), data / "resnet50-0676ba61.pth")
    make(folder, MODEL, HEADS)
    model, files = MorphableModel.load(folder / MODEL), data / "bfm_2009"
    write_bfm(files, model)
    imported, _ = build(FaceModelSection(source="bfm_2009", folder=files), model)
    np.save(files / INDEX_101, imported.landmarks_101.numpy())
    people = [word for setting in PEOPLE for word in ("--set", setting)]
    for dataset in ("pixel_face", "multi_pie", "bosphorus", "celebamask_hq"):
        run(folder, "dfmvr", "simulate", "--dataset", dataset, "--heads", HEADS, "--output", data / dataset, *people)


def main() -> None:
    """Take the steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainings", nargs="+", default=list(load(PAPER).trained_on()))
    args = parser.parse_args()
    folder = args.folder.resolve()
    prepare(folder)
    make(folder, *(f"results/train/{name}/weights.safetensors" for name in args.trainings))
    print("| training | time of the job, one step of two samples (s) | peak memory (GiB) |\n| --- | ---: | ---: |")
    for name in args.trainings:
        told = json.loads(
            (folder / f"benchmarks/workflow/train/{name}.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        )
        print(f"| {name} | {told['s']:.0f} | {told['max_rss'] / 1024:.1f} |")


if __name__ == "__main__":
    main()
