"""train/analysis.ipynb, run from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import REPOSITORY

NOTEBOOK = REPOSITORY / "train" / "analysis.ipynb"


@pytest.mark.mnist
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")  # of what runs notebooks
def test_the_notebook_runs(mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("HFVAE_DATA_DIR", str(mnist_dir))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells), "it is kept without outputs: they would show MNIST"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    shown = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 11
    printed = "".join(output.get("text", "") for output in shown)
    assert "latents are active" in printed
    assert printed.count("; NLL") == 2
