"""Manifests of samples that no stage has aligned."""

from dfmvr.datasets.manifest import ManifestWriter, rows_of
from dfmvr.datasets.sample import Sample


def write_manifest(path, samples, reasons=()):
    """Write the manifest of samples; `reasons` maps names of those set aside to why."""
    reasons = dict(reasons)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [sample.sample for sample in samples if sample.sample not in reasons]
    with ManifestWriter(path) as manifest:
        for sample in samples:
            name = sample.sample
            manifest.add(rows_of(sample, kept.index(name) if name in kept else -1, reasons.get(name, "")))
    return path


def scanned(root, name, subject, split="test"):
    """A sample in Pixel-Face's layout, with its normalised scan if that is there."""
    scan = root / f"{name}.npz"
    photos = tuple(root / name / view / "t.jpg" for view in "012")
    return Sample(name, subject, split, photos, scan=scan if scan.exists() else None)
