"""The notebook, from top to bottom; what must hold is asserted in its last cell."""

import shutil
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOK = "photographs_to_face.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    notebook = nbformat.read(tmp_path / NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "face" / "face.glb").read_bytes()[:4] == b"glTF"
    drawn = [out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(drawn) >= 9  # photographs, overlays, residuals of two sides before and after, errors, worth


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(FOLDER / NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
