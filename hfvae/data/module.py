"""MNIST and its relatives for Lightning: uint8 tensors in memory, fetched and transformed a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from ..datasets import DEFAULT_DATASET, Pixels, TrainingData, find_dataset
from ..probability.sampling import seeded_generator
from .augmentation import Augmentation
from .readers import READERS, IDXFiles, Images, Reader

Batch = tuple[Tensor, Tensor]
NOISE_BLOCK = 256
"""Images whose noise is drawn at once."""
VALIDATION_SHARE = 6
"""The training images divided by this are kept for validation: 10,000 of MNIST's 60,000."""


class ImageTensors(Dataset[Batch]):
    """A part of a data set whose batches are made as whole tensors (``__getitems__``), never image by image.

    A loader other than `MNISTDataModule`'s needs ``collate_fn=lambda batch: batch``, since batches arrive complete.

    Args:
        images: all images and their targets, on the device where batches are made.
        indices: which of them belong to this part.
        pixels: the treatment of grey levels.
        classes: the class names.
        augmentation: displaces the images of each batch at random; without its `edge_contrast` by nearest neighbours
            where pixels are binarised at random, else bilinearly.
        noise_seed: None draws from torch's global generator, afresh each time. With a seed, an image's noise depends on
            the seed and the image's place in this part alone, so that all evaluations see the same data, in batches of
            any size.
    """

    def __init__(
        self,
        images: Images,
        indices: Tensor,
        pixels: Pixels,
        classes: Sequence[str] = (),
        *,
        augmentation: Augmentation | None = None,
        noise_seed: int | None = None,
    ) -> None:
        self.images = images
        self.indices = indices.to(images.levels.device)
        self.pixels = pixels
        self.classes = classes
        self.augmentation = augmentation
        self.noise_seed = noise_seed
        self._block, self._block_noise = -1, torch.empty(0)  # the block drawn last: loaders go in order

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Batch:
        """One image (C, H, W) and its target ()."""
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        """Images (B, C, H, W) float32 and targets (B,) int64."""
        places = torch.as_tensor(indices)
        chosen = self.indices[places.to(self.indices.device)]
        levels = self.images.levels[chosen].float()
        if self.augmentation:
            # bilinear edges are grey, and their random binarisation is noise
            levels = self.augmentation(levels, "nearest" if self.pixels.binarize == "dynamic" else "bilinear")
        noise = None
        if self.noise_seed is not None and self.pixels.noisy:
            noise = self._seeded_noise(self.noise_seed, places % len(self), levels.shape).to(levels.device)
        return self.pixels.apply(levels, noise), self.images.targets[chosen]

    def _seeded_noise(self, seed: int, places: Tensor, shape: torch.Size) -> Tensor:
        """Uniform noise in [0, 1) for the images at `places` of this part, drawn in blocks of neighbouring images."""
        noise = torch.empty(shape)
        blocks = places // NOISE_BLOCK
        for block in blocks.unique().tolist():
            if block != self._block:
                generator = seeded_generator(seed, block)
                self._block, self._block_noise = block, torch.rand(NOISE_BLOCK, *shape[1:], generator=generator)
            inside = blocks == block
            noise[inside] = self._block_noise[places[inside] % NOISE_BLOCK]
        return noise


class MNISTDataModule(lightning.LightningDataModule):
    """Training, validation and test images of MNIST or a relative; of MNIST, 50,000, 10,000 and 10,000.

    Batches are images (B, C, H, W) float32 and targets (B,) int64. Images lie in [0, 1], unless standardised. A sixth
    of the training images are for validation; the split is seeded, and a smaller number of them is a part of a larger.
    Only training images are displaced. Validation and test batches are the same at every pass.

    Args:
        data_dir: the folder that holds ``MNIST/raw``, torchvision's layout, with the four files as they are or as
            ``.gz``; None takes ``$HFVAE_DATA_DIR``, else ``data``.
        dataset: a name in `hfvae.datasets.DATASETS`: MNIST, FashionMNIST, KMNIST, EMNIST-letters, EMNIST-balanced, or
            one that was added there and in `READERS`.
        binarize_threshold: pixels above it (in [0, 1)) become 1, the others 0.
        binarize: ``"dynamic"`` makes every pixel a fresh Bernoulli draw with its grey level as probability.
        mean, std: standardise the pixels; for Gaussian and Laplace models.
        batch_size: images a batch.
        dequantize: grey level k becomes (k + u) / 256, u uniform in [0, 1), so that grey levels have a density.
        rotation, shear, stretch, shift, edge_contrast: how training images are displaced, each by its own random
            amounts: see `hfvae.data.Augmentation`.
        validation_images: number of training images that are kept for validation; None keeps a sixth.
        num_workers: loader processes; 0 is fastest, since a batch is one tensor operation. With 0 the images lie on the
            trainer's device, and batches are made there; with more they lie in the main memory.
        seed: of the split and of the noise in validation and test batches.

    Raises:
        ValueError: an unknown data set, numbers out of range, or settings that contradict each other.
    """

    train_set: ImageTensors
    val_set: ImageTensors
    test_set: ImageTensors

    def __init__(
        self,
        data_dir: str | Path | None = None,
        dataset: str = DEFAULT_DATASET,
        binarize_threshold: float | None = None,
        binarize: Literal["dynamic"] | None = None,
        mean: float | None = None,
        std: float | None = None,
        batch_size: int = 128,
        dequantize: bool = False,
        rotation: float = 0.0,
        shear: float = 0.0,
        stretch: float = 0.0,
        shift: float = 0.0,
        edge_contrast: float | None = None,
        validation_images: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if validation_images is not None and validation_images < 1:
            raise ValueError(f"validation_images must be at least 1, or None for a sixth, got {validation_images}")
        self.data_dir = Path(data_dir if data_dir is not None else os.environ.get("HFVAE_DATA_DIR", "data"))
        pixels = Pixels(binarize, binarize_threshold, dequantize, mean, std)
        self.record = TrainingData(find_dataset(dataset), pixels)
        self.batch_size = batch_size
        self.augmentation = Augmentation(rotation, shear, stretch, shift, edge_contrast)
        self.validation_images = validation_images
        self.num_workers = num_workers
        self.seed = seed

    def prepare_data(self) -> None:
        """Download the data set unless it is there.

        Raises:
            FileNotFoundError: it is not there and cannot be downloaded.
            ValueError: one of its files is damaged or belongs to something else.
        """
        if not isinstance(self._reader, IDXFiles) or self._reader.complete(self.data_dir):
            return
        try:
            self._reader.download(self.data_dir)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(self._advice(f"could not be downloaded ({error})", self._reader)) from error

    def setup(self, stage: str | None = None) -> None:
        """Read the parts that `stage` ("fit", "validate", "test", or None for all) needs."""
        reader = self._reader
        if isinstance(reader, IDXFiles) and not reader.complete(self.data_dir):
            raise FileNotFoundError(self._advice("is not there", reader))
        if stage in (None, "fit", "validate"):
            images = self._read(reader, train=True)
            count = len(images.targets)
            order = torch.randperm(count, generator=Generator().manual_seed(self.seed))
            kept = count // VALIDATION_SHARE if self.validation_images is None else self.validation_images
            if kept >= count:
                raise ValueError(f"validation_images is {kept}, and there are {count} images to train on and validate")
            train, val = order.tensor_split([count - kept])
            self.train_set = self._part(images, train, augmentation=self.augmentation)
            self.val_set = self._part(images, val, noise_seed=self.seed)
        if stage in (None, "test", "predict"):
            images = self._read(reader, train=False)
            self.test_set = self._part(images, torch.arange(len(images.targets)), noise_seed=self.seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_set, shuffle=True)

    def test_images(self) -> Tensor:
        """The test images in [0, 1], without treatment, (N, C, H, W)."""
        return self.test_set.images.levels.cpu() / 255

    def plain_train_dataloader(self) -> DataLoader[Batch]:
        """The training images as evaluation sees them: in order, not rotated, the same at every pass."""
        plain = self._part(self.train_set.images, self.train_set.indices, noise_seed=self.seed)
        return self._loader(plain, shuffle=False)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.val_set, shuffle=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.test_set, shuffle=False)

    @property
    def _device(self) -> torch.device:
        """Where the images lie: on the trainer's device, if this process makes the batches."""
        if self.trainer is None or self.num_workers > 0:
            return torch.device("cpu")
        return self.trainer.strategy.root_device

    @property
    def _reader(self) -> Reader:
        name = self.record.dataset.name
        if name not in READERS:
            raise ValueError(f"hfvae.data.READERS has no reader of {name}: add a function that reads its images")
        return READERS[name]

    def _read(self, reader: Reader, *, train: bool) -> Images:
        """The training or test images, as far as their record tells what they must be.

        Raises:
            ValueError: images of another shape or type, or labels that no class has.
        """
        record = self.record.dataset
        images, part = reader(self.data_dir, train), "training" if train else "test"
        levels, targets = images
        if levels.dtype != torch.uint8 or levels.shape[1:] != record.image_shape or levels.shape[:1] != targets.shape:
            raise ValueError(
                f"{record.name}'s {part} images must be uint8 of shape (N, {', '.join(map(str, record.image_shape))}) "
                f"with N labels, got {levels.dtype} of shape {tuple(levels.shape)} with labels {tuple(targets.shape)}"
            )
        classes = len(record.class_names)
        if len(targets) and classes and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
            raise ValueError(
                f"{record.name}'s {part} labels must be 0 to {classes - 1}, one for each class; "
                f"got {int(targets.min())} to {int(targets.max())}"
            )
        return Images(*(tensor.to(self._device) for tensor in images))

    def _part(self, images: Images, indices: Tensor, **options: Any) -> ImageTensors:
        return ImageTensors(images, indices, self.record.pixels, self.record.dataset.class_names, **options)

    def _loader(self, dataset: ImageTensors, *, shuffle: bool) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=RandomSampler(dataset) if shuffle else None,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=_as_is,
            generator=Generator(),  # what iter() draws, for workers, is not to shift the epoch's own randomness
        )

    def _advice(self, problem: str, files: IDXFiles) -> str:
        folder = files.folder(self.data_dir).absolute()
        return (
            f"{self.record.dataset.name} {problem}. Looked in {folder} for {', '.join(files.names)}, or the same as "
            ".gz. Connect to the network and call prepare_data(), or put the files there, or point data_dir or "
            f"$HFVAE_DATA_DIR to the folder above {folder.parent.name}/raw"
        )


def _as_is(batch: Any) -> Any:
    """Batches arrive complete; there is nothing to collate."""
    return batch
