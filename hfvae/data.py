"""MNIST for Lightning: uint8 tensors in memory, fetched and transformed a batch at a time."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.datasets import MNIST

Batch = tuple[Tensor, Tensor]

_IDX_BYTES = {
    "train-images-idx3-ubyte": 16 + 60_000 * 784,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 784,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}
NUM_TRAIN = 50_000
NUM_VAL = 10_000


class MNISTTensors(Dataset[Batch]):
    """A part of MNIST whose batches are made as whole tensors (``__getitems__``), never image by image.

    A loader of one's own needs ``collate_fn=lambda batch: batch``, since a batch arrives made.

    Args:
        images: (N, 28, 28) uint8.
        targets: (N,) int64.
        indices: which of them belong to this part.
        rotation: each image is turned by its own angle, uniform in [-rotation, rotation] degrees.
        binarize_threshold: pixels above it become 1, the others 0.
        dynamic: pixels become Bernoulli draws with their grey level as probability.
        dequantize: grey level k becomes (k + u) / 256 with u uniform in [0, 1).
        mean, std: standardise the pixels.
        noise_seed: None draws from torch's global generator, afresh each time. A seed makes every batch the same each
            time it is fetched, so that two evaluations see the same data.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        indices: Tensor,
        *,
        rotation: float,
        binarize_threshold: float | None,
        dynamic: bool,
        dequantize: bool,
        mean: float | None,
        std: float | None,
        noise_seed: int | None,
    ) -> None:
        self.images = images
        self.targets = targets
        self.indices = indices
        self.rotation = rotation
        self.binarize_threshold = binarize_threshold
        self.dynamic = dynamic
        self.dequantize = dequantize
        self.mean = mean
        self.std = std
        self.noise_seed = noise_seed
        self.classes = MNIST.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Batch:
        """One image (1, 28, 28) and its target ()."""
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        """Images (B, 1, 28, 28) float32 and targets (B,) int64."""
        generator = None if self.noise_seed is None else Generator().manual_seed(self.noise_seed + indices[0])
        chosen = self.indices[torch.as_tensor(indices)]
        levels = self.images[chosen].unsqueeze(1).float()
        if self.rotation:
            levels = rotate(levels, self.rotation, generator).clamp_(0, 255)  # interpolation rounds, up too
        return self._transform(levels, generator), self.targets[chosen]

    def _transform(self, levels: Tensor, generator: Generator | None) -> Tensor:
        """Grey levels in [0, 255] to what the model is given."""
        if self.dequantize:
            return (levels + torch.rand(levels.shape, generator=generator)) / 256
        x = levels / 255
        if self.dynamic:
            return torch.bernoulli(x, generator=generator)
        if self.binarize_threshold is not None:
            return (x > self.binarize_threshold).float()
        if self.mean is not None and self.std is not None:
            return (x - self.mean) / self.std
        return x


def rotate(images: Tensor, degrees: float, generator: Generator | None = None) -> Tensor:
    """Turn every image (B, 1, H, W) around its centre by its own random angle, uniform in [-degrees, degrees]."""
    angles = math.radians(degrees) * (2 * torch.rand(len(images), generator=generator) - 1)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    turns = torch.stack([torch.stack([cos, -sin, zero], -1), torch.stack([sin, cos, zero], -1)], 1)
    grid = F.affine_grid(turns, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


class MNISTDataModule(lightning.LightningDataModule):
    """50,000 training, 10,000 validation and 10,000 test digits; the split is seeded.

    Batches are images (B, 1, 28, 28) float32 and targets (B,) int64. Images lie in [0, 1], unless standardised.
    Only training images are rotated; validation and test batches are the same at every pass.

    Args:
        data_dir: the folder that holds ``MNIST/raw``; None takes ``$HFVAE_DATA_DIR``, else ``data``.
        binarize_threshold: pixels above it (in [0, 1)) become 1, the others 0.
        binarize: ``"dynamic"`` makes every pixel a fresh Bernoulli draw with its grey level as probability.
        dequantize: grey level k becomes (k + u) / 256, u uniform in [0, 1): a density model's honest grey levels.
        mean, std: standardise the pixels; for Gaussian and Laplace models.
        batch_size: images a batch.
        rotation: training images are turned by up to so many degrees, each by its own angle.
        num_workers: loader processes; 0 is fastest, since a batch is one tensor operation.
        seed: of the split and of the noise in validation and test batches.

    Raises:
        ValueError: numbers out of range, or settings that contradict each other.
    """

    train_set: MNISTTensors
    val_set: MNISTTensors
    test_set: MNISTTensors

    def __init__(
        self,
        data_dir: str | Path | None = None,
        binarize_threshold: float | None = None,
        binarize: Literal["dynamic"] | None = None,
        mean: float | None = None,
        std: float | None = None,
        batch_size: int = 128,
        dequantize: bool = False,
        rotation: float = 0.0,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        binary = [
            name
            for name, given in (
                ("binarize_threshold", binarize_threshold is not None),
                ("binarize", binarize is not None),
            )
            if given
        ]
        if len(binary) == 2:
            raise ValueError("binarize_threshold and binarize are two ways to binarise: give one of them")
        if binarize not in (None, "dynamic"):
            raise ValueError(f'binarize must be None or "dynamic", got {binarize!r}')
        if binarize_threshold is not None and not 0 <= binarize_threshold < 1:
            raise ValueError(f"binarize_threshold must be in [0, 1), got {binarize_threshold}")
        if (mean is None) != (std is None):
            raise ValueError(f"mean and std come together, got mean={mean}, std={std}")
        if std is not None and not 0 < std < math.inf:
            raise ValueError(f"std must be positive and finite, got {std}")
        if mean is not None and not math.isfinite(mean):
            raise ValueError(f"mean must be finite, got {mean}")
        if dequantize and (binary or mean is not None):
            other = binary[0] if binary else "mean and std"
            raise ValueError(f"dequantize spreads grey levels over [0, 1) and {other} undoes that: give one of them")
        if binary and mean is not None:
            raise ValueError(f"{binary[0]} makes pixels 0 or 1 and mean and std undo that: give one of them")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= rotation <= 180:
            raise ValueError(f"rotation must be between 0 and 180 degrees, got {rotation}")
        self.data_dir = Path(data_dir if data_dir is not None else os.environ.get("HFVAE_DATA_DIR", "data"))
        self.binarize_threshold = binarize_threshold
        self.binarize = binarize
        self.dequantize = dequantize
        self.mean = mean
        self.std = std
        self.batch_size = batch_size
        self.rotation = rotation
        self.num_workers = num_workers
        self.seed = seed

    def prepare_data(self) -> None:
        """Download MNIST unless it is there.

        Raises:
            FileNotFoundError: it is not there and cannot be downloaded.
            ValueError: a file of the wrong size lies where MNIST should.
        """
        if not self._check_files():
            self._download()

    def setup(self, stage: str | None = None) -> None:
        """Read the parts that `stage` ("fit", "validate", "test", or None for all) needs."""
        if not self._check_files():
            raise FileNotFoundError(self._advice("MNIST is not there"))
        if stage in (None, "fit", "validate"):
            source = MNIST(self.data_dir, train=True)
            order = torch.randperm(len(source), generator=Generator().manual_seed(self.seed))
            train, val = order.split([NUM_TRAIN, NUM_VAL])
            self.train_set = self._part(source.data, source.targets, train, training=True)
            self.val_set = self._part(source.data, source.targets, val, training=False)
        if stage in (None, "test", "predict"):
            source = MNIST(self.data_dir, train=False)
            self.test_set = self._part(source.data, source.targets, torch.arange(len(source)), training=False)

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_set, shuffle=True)

    def plain_train_dataloader(self) -> DataLoader[Batch]:
        """The training images as evaluation sees them: in order, not rotated, the same at every pass."""
        source = self.train_set
        plain = self._part(source.images, source.targets, source.indices, training=False)
        return self._loader(plain, shuffle=False)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.val_set, shuffle=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.test_set, shuffle=False)

    def _part(self, images: Tensor, targets: Tensor, indices: Tensor, *, training: bool) -> MNISTTensors:
        return MNISTTensors(
            images,
            targets,
            indices,
            rotation=self.rotation if training else 0.0,
            binarize_threshold=self.binarize_threshold,
            dynamic=self.binarize == "dynamic",
            dequantize=self.dequantize,
            mean=self.mean,
            std=self.std,
            noise_seed=None if training else self.seed,
        )

    def _loader(self, dataset: MNISTTensors, *, shuffle: bool) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=RandomSampler(dataset) if shuffle else None,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=_as_is,
            generator=Generator(),  # what iter() draws, for workers, is not to shift the epoch's own randomness
        )

    @property
    def _raw(self) -> Path:
        return self.data_dir / "MNIST" / "raw"

    def _check_files(self) -> bool:
        """Whether the four files are there, whole; one of the wrong size is an error, not data."""
        for name, size in _IDX_BYTES.items():
            path = self._raw / name
            if not path.is_file():
                return False
            if path.stat().st_size != size:
                raise ValueError(
                    f"{path} has {path.stat().st_size} bytes and MNIST's has {size}: delete it, and it is fetched again"
                )
        return True

    def _download(self) -> None:
        """Fetch into a folder beside the final one and move only whole files."""
        try:
            self._raw.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.data_dir) as scratch:
                MNIST(scratch, download=True)
                for name in _IDX_BYTES:
                    shutil.move(Path(scratch) / "MNIST" / "raw" / name, self._raw / name)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(self._advice(f"MNIST could not be downloaded ({error})")) from error

    def _advice(self, problem: str) -> str:
        return (
            f"{problem}. Looked in {self._raw.absolute()} for {', '.join(_IDX_BYTES)}. Connect to the network and call "
            "prepare_data(), or put the files there, or point data_dir or $HFVAE_DATA_DIR to the folder above MNIST/raw"
        )


def _as_is(batch: Any) -> Any:
    """Batches arrive made; there is nothing to collate."""
    return batch
