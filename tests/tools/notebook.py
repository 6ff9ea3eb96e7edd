"""Run train/analysis.ipynb and keep its outputs: `python tests/tools/notebook.py`. Needs MNIST ($HFVAE_DATA_DIR).

Cells with the tag "shows-mnist" are kept without theirs, since images of MNIST are not ours to publish.
"""

from __future__ import annotations

import nbformat
import paths  # noqa: F401
from nbclient import NotebookClient
from support import REPOSITORY

NOTEBOOK = REPOSITORY / "train" / "analysis.ipynb"
TAG = "shows-mnist"


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            hidden = TAG in cell.metadata.get("tags", [])
            # progress bars and warnings, which name this machine's folders, are no results
            cell.outputs = [] if hidden else [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, NOTEBOOK)
    print(f"Wrote {NOTEBOOK}: {NOTEBOOK.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
