"""How data sets are read from their files: the table from a data set's name to its reader."""

from __future__ import annotations

import hashlib
import math
import shutil
import struct
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from torchvision import datasets as torchvision_datasets

from .datasets import DATASETS, Dataset

SHA256 = {
    "MNIST": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
}
"""Checksums of the published files, where they are known: data set, file, SHA-256."""
_UNSIGNED_BYTES = 8  # IDX's code of the type


class Images(NamedTuple):
    """A data set in memory."""

    levels: Tensor
    """Grey levels (N, C, H, W) uint8."""
    targets: Tensor
    """Indices into the class names, (N,) int64."""


Reader = Callable[[Path, bool], Images]
"""Reads a data set's training (True) or test images (False) from the folder `data_dir`."""


class IDXFiles:
    """A data set that torchvision keeps as four IDX files, read through torchvision's own class.

    Args:
        record: the data set.
        kind: the class.
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
        source = self.kind(data_dir, train=train, **self.options)
        levels = source.data.transpose(1, 2) if self.record.transposed else source.data
        return Images(levels.unsqueeze(1).contiguous(), source.targets - self.first_label)

    def folder(self, data_dir: Path) -> Path:
        """Where the files are."""
        return data_dir / self.kind.__name__ / "raw"

    @property
    def names(self) -> list[str]:
        """The names of the files."""
        split = self.options.get("split")
        parts = [f"emnist-{split}-{part}" for part in ("train", "test")] if split else ["train", "t10k"]
        return [f"{part}-{kind}" for part in parts for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def complete(self, data_dir: Path) -> bool:
        """Whether the files are there.

        Warns:
            UserWarning: a file whose published checksum is known is another one.

        Raises:
            ValueError: a file is no IDX file of bytes, or has not the size that its header says.
        """
        paths = [self.folder(data_dir) / name for name in self.names]
        if not all(path.is_file() for path in paths):
            return False
        for path in paths:
            size, expected = path.stat().st_size, _idx_size(path, dimensions=3 if "images" in path.name else 1)
            if size != expected:
                raise ValueError(
                    f"{path} has {size} bytes and {self.kind.__name__}'s has {expected}: "
                    "delete it, and it is downloaded again"
                )
            published = SHA256.get(self.record.name, {}).get(path.name)
            if published is not None and hashlib.sha256(path.read_bytes()).hexdigest() != published:
                warnings.warn(
                    f"{path} is not the published file: its SHA-256 differs. Figures measured on it cannot be compared "
                    "with others; delete it, and it is downloaded again",
                    stacklevel=2,
                )
        return True

    def download(self, data_dir: Path) -> None:
        """Download into a temporary folder beside the final one and move only whole files."""
        target = self.folder(data_dir)
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir) as scratch:
            self.kind(scratch, train=True, download=True, **self.options)
            for name in self.names:
                shutil.move(self.folder(Path(scratch)) / name, target / name)


def _idx_size(path: Path, dimensions: int) -> int:
    """The size in bytes that the header of an IDX file of bytes says.

    Raises:
        ValueError: no such header, or another number of dimensions.
    """
    with path.open("rb") as file:
        magic, sizes = file.read(4), file.read(4 * dimensions)
    if magic != bytes((0, 0, _UNSIGNED_BYTES, dimensions)) or len(sizes) < 4 * dimensions:
        raise ValueError(
            f"{path} is no IDX file of bytes in {dimensions} dimensions (it begins with {magic.hex() or 'nothing'}): "
            "delete it, and it is downloaded again"
        )
    return 4 + len(sizes) + math.prod(struct.unpack(f">{dimensions}I", sizes))


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
