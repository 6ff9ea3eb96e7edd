"""Records of data sets, the preprocessing of their pixels, and the papers that model cards cite.

`DATASETS` lists the data sets that `MNISTDataModule` reads through torchvision. A model folder contains the record of
its data set, so that a model trained on other data loads with its class names and source.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from .networks import Shape

GREY_LEVELS = 256
MAX_CLASSES = 256
MAX_TEXT = 200
DRAWING_FIELD = 28
LOCAL_FIELDS = ("test_file", "transposed", "classifier")
"""Fields about local files; a model folder does not contain them."""


@dataclass(frozen=True)
class Dataset:
    """Facts about a data set of images.

    Attributes:
        name: as in `MNISTDataModule(dataset=...)` and on model cards.
        image_shape: (channels, height, width).
        class_names: names of the labels 0, 1, ...; empty if unknown.
        item: singular noun for one image ("digit").
        hub_id: id of the data set on the hub; None if it has none.
        license: licence of the data; None if unknown.
        train_size, test_size: numbers of images, validation images included in the former; None if unknown.
        drawing_box: side in pixels of the box that items are scaled to (see `hfvae.sketch`).
        test_file: path of the IDX file with the test images in the data folder; None if there is none.
        transposed: whether IDX files store the images transposed.
        classifier: file with the weights of the classifier of samples, beside
            `hfvae/evaluation/classifier.py`; None if there is none.
    """

    name: str
    image_shape: Shape
    class_names: tuple[str, ...] = ()
    item: str = "image"
    hub_id: str | None = None
    license: str | None = None
    train_size: int | None = None
    test_size: int | None = None
    drawing_box: int = 20
    test_file: str | None = None
    transposed: bool = False
    classifier: str | None = None

    @property
    def items(self) -> str:
        """The plural of `item`."""
        return f"{self.item}s"


DIGITS = tuple(string.digits)
# EMNIST's "balanced" split merges the lower-case letters that look like their capitals (Cohen et al. 2017, table II).
BALANCED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
GARMENTS = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
NIST = "public domain (NIST Special Database 19)"

DEFAULT_DATASET = "MNIST"
DATASETS: dict[str, Dataset] = {
    record.name: record
    for record in (
        Dataset(
            "MNIST",
            (1, 28, 28),
            DIGITS,
            item="digit",
            hub_id="ylecun/mnist",
            license="mit",
            train_size=60_000,
            test_size=10_000,
            test_file="MNIST/raw/t10k-images-idx3-ubyte",
            classifier="classifier.safetensors",
        ),
        Dataset(
            "FashionMNIST",
            (1, 28, 28),
            GARMENTS,
            item="garment",
            hub_id="zalando-datasets/fashion_mnist",
            license="mit",
            train_size=60_000,
            test_size=10_000,
            test_file="FashionMNIST/raw/t10k-images-idx3-ubyte",
            drawing_box=28,
        ),
        Dataset(
            "KMNIST",
            (1, 28, 28),
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            item="character",
            license="cc-by-sa-4.0",
            train_size=60_000,
            test_size=10_000,
            test_file="KMNIST/raw/t10k-images-idx3-ubyte",
            drawing_box=28,
        ),
        Dataset(
            "EMNIST-letters",
            (1, 28, 28),
            tuple(string.ascii_lowercase),
            item="letter",
            hub_id="Royc30ne/emnist-letters",
            license=NIST,
            train_size=124_800,
            test_size=20_800,
            test_file="EMNIST/raw/emnist-letters-test-images-idx3-ubyte",
            transposed=True,
            drawing_box=24,
        ),
        Dataset(
            "EMNIST-balanced",
            (1, 28, 28),
            BALANCED,
            item="character",
            hub_id="Royc30ne/emnist-balanced",
            license=NIST,
            train_size=112_800,
            test_size=18_800,
            test_file="EMNIST/raw/emnist-balanced-test-images-idx3-ubyte",
            transposed=True,
            drawing_box=24,
        ),
    )
}


def find_dataset(name: str) -> Dataset:
    """The record of that name, ignoring case and punctuation.

    Raises:
        ValueError: no such data set; the message lists the names.
    """
    known = {_simplified(record): DATASETS[record] for record in DATASETS}
    if not isinstance(name, str) or _simplified(name) not in known:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}")
    return known[_simplified(name)]


def _simplified(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


@dataclass(frozen=True)
class Pixels:
    """The preprocessing of an image's grey levels k (0 to 255); by default k / 255.

    Attributes:
        binarize: ``"dynamic"`` samples each pixel anew from a Bernoulli with probability k / 255.
        binarize_threshold: pixels with k / 255 above it (in [0, 1)) become 1, the others 0.
        dequantize: (k + u) / 256 with u uniform in [0, 1), which gives discrete levels a density (Uria, Murray &
            Larochelle 2013, "RNADE", sec. 4).
        mean, std: standardise, (k / 255 - mean) / std.

    Raises:
        ValueError: numbers out of range, or settings that exclude each other.
    """

    binarize: Literal["dynamic"] | None = None
    binarize_threshold: float | None = None
    dequantize: bool = False
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        given = {"binarize_threshold": self.binarize_threshold is not None, "binarize": self.binarize is not None}
        binary = [name for name, is_given in given.items() if is_given]
        if len(binary) == 2:
            raise ValueError("binarize_threshold and binarize exclude each other: give one of them")
        if self.binarize not in (None, "dynamic"):
            raise ValueError(f'binarize must be None or "dynamic", got {self.binarize!r}')
        if self.binarize_threshold is not None and not 0 <= self.binarize_threshold < 1:
            raise ValueError(f"binarize_threshold must be in [0, 1), got {self.binarize_threshold}")
        if (self.mean is None) != (self.std is None):
            raise ValueError(f"give mean and std together, got mean={self.mean}, std={self.std}")
        if self.std is not None and not 0 < self.std < math.inf:
            raise ValueError(f"std must be positive and finite, got {self.std}")
        if self.mean is not None and not math.isfinite(self.mean):
            raise ValueError(f"mean must be finite, got {self.mean}")
        if self.dequantize and (binary or self.standardized):
            other = binary[0] if binary else "mean and std"
            raise ValueError(f"dequantize and {other} exclude each other: give one of them")
        if binary and self.standardized:
            raise ValueError(f"{binary[0]} excludes mean and std: give one of them")

    @property
    def binary(self) -> bool:
        """Whether pixels are 0 or 1."""
        return self.binarize is not None or self.binarize_threshold is not None

    @property
    def standardized(self) -> bool:
        return self.mean is not None

    @property
    def noisy(self) -> bool:
        """Whether the preprocessing is random."""
        return self.dequantize or self.binarize is not None

    def apply(self, levels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Grey levels in [0, 255], float, any shape -> pixels of that shape.

        Args:
            levels: the grey levels.
            noise: uniform in [0, 1), of the same shape; None draws it, if needed, from torch's global generator.
        """
        if self.noisy:
            noise = torch.rand_like(levels) if noise is None else noise
            if self.dequantize:
                return (levels + noise) / GREY_LEVELS
            return (noise * (GREY_LEVELS - 1) < levels).to(levels)
        x = levels / (GREY_LEVELS - 1)
        if self.binarize_threshold is not None:
            return (x > self.binarize_threshold).to(x)
        return self.normalize(x)

    def normalize(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> encoder inputs, without noise: standardised, or unchanged."""
        return images if self.mean is None or self.std is None else (images - self.mean) / self.std

    def denormalize(self, pixels: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return pixels if self.mean is None or self.std is None else pixels * self.std + self.mean

    @property
    def protocol(self) -> str:
        """The preprocessing in short, for metrics."""
        if self.dequantize:
            return "dequantised (k + u) / 256"
        if self.binarize is not None:
            return "one dynamic binarisation"
        if self.binarize_threshold is not None:
            return f"binarised at {self.binarize_threshold:g}"
        return f"standardised, (k / 255 - {self.mean:g}) / {self.std:g}" if self.standardized else "grey levels k / 255"

    @property
    def description(self) -> str:
        """The preprocessing, to follow "the density is that of" on a card."""
        if self.dequantize:
            return "dequantised pixels, (k + u) / 256"
        if self.binarize is not None:
            return "dynamically binarised pixels"
        if self.binarize_threshold is not None:
            return f"pixels binarised at {self.binarize_threshold:g}"
        return f"{self.protocol}, without dequantisation, so that it has no upper bound"


@dataclass(frozen=True)
class TrainingData:
    """What a model was trained on: the data set and the pixel preprocessing."""

    dataset: Dataset
    pixels: Pixels

    def to_json(self) -> dict[str, Any]:
        """As JSON values, without defaults and `LOCAL_FIELDS`."""
        dataset = _changed(self.dataset)
        return {
            "dataset": {name: value for name, value in dataset.items() if name not in LOCAL_FIELDS},
            "pixels": _changed(self.pixels),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingData:
        """The inverse of `to_json`.

        Raises:
            ValueError: not such a record.
        """
        try:
            dataset = dict(value["dataset"])
            for name in ("image_shape", "class_names"):
                dataset[name] = tuple(dataset.get(name, ()))
            local = DATASETS.get(dataset["name"], Dataset("", (1, 1, 1)))
            for name in LOCAL_FIELDS:
                dataset[name] = getattr(local, name)
            record, pixels = Dataset(**dataset), Pixels(**value["pixels"])
            _validate(record)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of a data set and its pixels: {error!r}") from error
        return cls(record, pixels)


def _validate(record: Dataset) -> None:
    """Check types and sizes of a record, which may come from an untrusted folder."""
    texts = (record.name, record.item, *record.class_names)
    optional = [text for text in (record.hub_id, record.license) if text is not None]
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_TEXT for text in (*texts, *optional)):
        raise ValueError(f"the names in the record of a data set must be strings of 1 to {MAX_TEXT} characters")
    if len(record.class_names) > MAX_CLASSES or len(set(record.class_names)) < len(record.class_names):
        raise ValueError(f"a data set may have {MAX_CLASSES} classes of different names")
    sizes = [size for size in (record.train_size, record.test_size) if size is not None]
    numbers = (*record.image_shape, record.drawing_box, *sizes)
    if len(record.image_shape) != 3 or not all(type(number) is int and number >= 1 for number in numbers):
        raise ValueError("the sizes in the record of a data set must be positive ints")
    if record.drawing_box > DRAWING_FIELD:
        raise ValueError(f"drawing_box must be at most {DRAWING_FIELD}, got {record.drawing_box}")


def _changed(record: Dataset | Pixels) -> dict[str, Any]:
    """The fields that differ from their defaults, tuples as lists."""
    values = asdict(record)
    changed = {field.name: values[field.name] for field in fields(record) if values[field.name] != field.default}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}


def assumed_dataset(image_shape: Shape) -> Dataset:
    """The data set of a model whose folder names none: MNIST, if the shape fits."""
    default = DATASETS[DEFAULT_DATASET]
    return default if image_shape == default.image_shape else Dataset("unnamed data", image_shape)


class Paper(NamedTuple):
    """A publication."""

    title: str
    url: str


VAE_PAPER = Paper("Kingma & Welling 2014, auto-encoding variational Bayes", "https://arxiv.org/abs/1312.6114")
CONTINUOUS_BERNOULLI = Paper(
    "Loaiza-Ganem & Cunningham 2019, the continuous Bernoulli", "https://arxiv.org/abs/1907.06845"
)
LEARNED_PRIOR = Paper(
    "Xu et al. 2019, on the necessity and effectiveness of learning the prior", "https://arxiv.org/abs/1905.13452"
)
IMPORTANCE_WEIGHTED = Paper(
    "Burda, Grosse & Salakhutdinov 2016, importance weighted autoencoders", "https://arxiv.org/abs/1509.00519"
)
