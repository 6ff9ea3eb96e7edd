"""train/analysis.ipynb: its committed outputs, and that it runs from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

NOTEBOOK = REPOSITORY / "train" / "analysis.ipynb"
FIGURES, OF_MNIST = 17, 2


def notebook() -> Any:
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


def figures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_it_is_committed_with_outputs_but_without_images_of_mnist() -> None:
    cells = [cell for cell in notebook().cells if cell.cell_type == "code"]
    hidden = [cell for cell in cells if "shows-mnist" in cell.metadata.get("tags", [])]
    assert all(not cell.outputs for cell in hidden)
    assert len(hidden) == OF_MNIST
    for cell in cells:  # whatever shows test images in [0, 1] or their batch as they are
        assert cell in hidden or not re.search(r"image_grid\(x\b|reconstructions\(", cell.source), cell.source
    shown = [output for cell in cells for output in cell.outputs]
    assert figures(shown) == FIGURES - 3
    assert not any(output.get("name") == "stderr" for output in shown)
    assert NOTEBOOK.stat().st_size < 1_500_000


@pytest.mark.mnist
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # of what runs notebooks
def test_the_notebook_runs(mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("HFVAE_DATA_DIR", str(mnist_dir))
    read = notebook()
    nbclient.NotebookClient(read, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    shown = [output for cell in read.cells if cell.cell_type == "code" for output in cell.outputs]
    assert figures(shown) == FIGURES
    printed = "".join(output.get("text", "") for output in shown)
    assert "latents are active" in printed
    assert printed.count("; NLL") == 2
