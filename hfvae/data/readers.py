"""How data sets are read from their files: the table from a data set's name to its reader."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from torchvision import datasets as torchvision_datasets

from .. import idx
from ..datasets import DATASETS, Dataset

SHA256 = {
    "MNIST": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
}
"""Checksums of the published files, where they are known: data set, file, SHA-256."""


class Images(NamedTuple):
    """A data set in memory."""

    levels: Tensor
    """Grey levels (N, C, H, W) uint8."""
    targets: Tensor
    """Indices into the class names, (N,) int64."""


Reader = Callable[[Path, bool], Images]
"""Reads a data set's training (True) or test images (False) from the folder `data_dir`."""


class IDXFiles:
    """A data set of four IDX files in the folder where torchvision keeps them, which also downloads them.

    The files may be packed (``.gz``) or spelt as `hfvae.idx.find` takes them.

    Args:
        record: the data set.
        kind: torchvision's class; its name is that of the folder.
        first_label: the label of the first class.
        options: of the class, as ``split``.
    """

    def __init__(
        self, record: Dataset, kind: type[torchvision_datasets.MNIST], first_label: int = 0, **options: Any
    ) -> None:
        self.record = record
        self.kind = kind
        self.first_label = first_label
        self.options = options

    def __call__(self, data_dir: Path, train: bool) -> Images:
        images, labels = (self._read(data_dir, name) for name in (self.names[:2] if train else self.names[2:]))
        levels = images.transpose(1, 2) if self.record.transposed else images
        return Images(levels.unsqueeze(1).contiguous(), labels.long() - self.first_label)

    def folder(self, data_dir: Path) -> Path:
        """Where the files are."""
        return data_dir / self.kind.__name__ / "raw"

    @property
    def names(self) -> list[str]:
        """The names of the files: training images and labels, test images and labels."""
        split = self.options.get("split")
        parts = [f"emnist-{split}-{part}" for part in ("train", "test")] if split else ["train", "t10k"]
        return [f"{part}-{kind}" for part in parts for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def complete(self, data_dir: Path) -> bool:
        """Whether the files are there.

        Warns:
            UserWarning: a file whose published checksum is known is another one.

        Raises:
            ValueError: a file is not an IDX file of bytes, or has not the size that its header says.
        """
        paths = {name: idx.find(self.folder(data_dir), name) for name in self.names}
        for name, path in paths.items():
            if path is None:
                return False
            content = idx.contents(path)
            idx.parse(content, _dimensions(name), path)
            published = SHA256.get(self.record.name, {}).get(name)
            if published is not None and hashlib.sha256(content).hexdigest() != published:
                warnings.warn(
                    f"{path} is not the published file: its SHA-256 differs. Figures measured on it cannot be compared "
                    "with others; delete it, and it is downloaded again",
                    stacklevel=2,
                )
        return True

    def _read(self, data_dir: Path, name: str) -> Tensor:
        path = idx.find(self.folder(data_dir), name)
        if path is None:
            raise FileNotFoundError(f"{self.record.name} has no {name} in {self.folder(data_dir)}")
        return idx.parse(idx.contents(path), _dimensions(name), path)

    def download(self, data_dir: Path) -> None:
        """Download into a temporary folder beside the final one and move only whole files."""
        target = self.folder(data_dir)
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir) as scratch:
            self.kind(scratch, train=True, download=True, **self.options)
            for name in self.names:
                shutil.move(self.folder(Path(scratch)) / name, target / name)


def _dimensions(name: str) -> int:
    return 3 if "images" in name else 1


READERS: dict[str, Reader] = {
    files.record.name: files
    for files in (
        IDXFiles(DATASETS["MNIST"], torchvision_datasets.MNIST),
        IDXFiles(DATASETS["FashionMNIST"], torchvision_datasets.FashionMNIST),
        IDXFiles(DATASETS["KMNIST"], torchvision_datasets.KMNIST),
        IDXFiles(DATASETS["EMNIST-letters"], torchvision_datasets.EMNIST, first_label=1, split="letters"),
        IDXFiles(DATASETS["EMNIST-balanced"], torchvision_datasets.EMNIST, split="balanced"),
    )
}
"""How each data set in `hfvae.datasets.DATASETS` is read."""
