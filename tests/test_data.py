"""MNIST as the models get it."""

from __future__ import annotations

import gzip
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hfvae import MNISTDataModule
from hfvae.data import READERS, Images, ImageTensors
from hfvae.datasets import DATASETS, Dataset


def first_batch(data_dir: Path, part: str = "test", **options: Any) -> torch.Tensor:
    module = MNISTDataModule(data_dir, batch_size=200, **options)
    module.setup()
    return next(iter(getattr(module, f"{part}_dataloader")()))[0]


@pytest.mark.mnist
def test_batches_and_split(mnist: MNISTDataModule) -> None:
    x, y = next(iter(mnist.test_dataloader()))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((500, 1, 28, 28), torch.float32, (500,), torch.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert mnist.test_set.classes[7] == "7"
    assert (len(mnist.train_set), len(mnist.val_set), len(mnist.test_set)) == (50_000, 10_000, 10_000)
    train, val = set(mnist.train_set.indices.tolist()), set(mnist.val_set.indices.tolist())
    assert not train & val
    twin = MNISTDataModule(mnist.data_dir)
    twin.setup("fit")
    assert torch.equal(twin.train_set.indices, mnist.train_set.indices), "the split is seeded"
    other = MNISTDataModule(mnist.data_dir, seed=1)
    other.setup("fit")
    assert not torch.equal(other.train_set.indices, mnist.train_set.indices)


@pytest.mark.mnist
def test_images_are_held_as_uint8_and_fetched_a_batch_at_a_time(mnist: MNISTDataModule, monkeypatch: Any) -> None:
    assert mnist.train_set.images.levels.dtype == torch.uint8
    monkeypatch.setattr(ImageTensors, "__getitem__", None)
    next(iter(mnist.train_dataloader()))


@pytest.mark.mnist
def test_one_image(mnist: MNISTDataModule) -> None:
    x, y = mnist.test_set[3]
    batch = mnist.test_set.__getitems__([3, 4])
    assert torch.equal(x, batch[0][0])
    assert torch.equal(y, batch[1][0])


@pytest.mark.mnist
def test_only_training_images_are_rotated_each_by_its_own_angle(mnist_dir: Path) -> None:
    grey = MNISTDataModule(mnist_dir)
    turned = MNISTDataModule(mnist_dir, rotation=20)
    for module in (grey, turned):
        module.setup()
    indices = list(range(100))
    plain, _ = grey.train_set.__getitems__(indices)
    once, _ = turned.train_set.__getitems__(indices)
    twice, _ = turned.train_set.__getitems__(indices)
    assert not torch.equal(once, twice)
    assert ((once - plain).abs().mean((1, 2, 3)) > 1e-4).float().mean() > 0.9
    for part in ("val_set", "test_set"):
        ours, theirs = (getattr(module, part).__getitems__(indices)[0] for module in (grey, turned))
        assert torch.equal(ours, theirs)
    still, _ = next(iter(turned.plain_train_dataloader()))
    assert torch.equal(still[:100], plain)


@pytest.mark.mnist
@pytest.mark.parametrize("options", [{"binarize": "dynamic"}, {"dequantize": True}], ids=str)
def test_noise_depends_on_seed_and_image_alone(mnist_dir: Path, options: dict[str, Any]) -> None:
    passes = []
    for size in (64, 50, 1000):
        module = MNISTDataModule(mnist_dir, batch_size=size, **options)
        module.setup("test")
        passes.append(torch.cat([x for x, _ in module.test_dataloader()]))
    for other in passes[1:]:
        assert torch.equal(passes[0], other)
    test_set = module.test_set
    some, _ = test_set.__getitems__([9999, 3, 777, -1])
    assert torch.equal(some, passes[0][[9999, 3, 777, 9999]])
    with pytest.raises(IndexError):
        test_set[10_000]
    module = MNISTDataModule(mnist_dir, seed=-1, **options)
    module.setup("test")
    assert not torch.equal(module.test_set[3][0], passes[0][3])


@pytest.mark.mnist
def test_the_number_of_validation_images(mnist_dir: Path) -> None:
    few, usual = (MNISTDataModule(mnist_dir, validation_images=number) for number in (2000, None))
    for module in (few, usual):
        module.setup("fit")
    assert (len(few.train_set), len(few.val_set)) == (58_000, 2000)
    assert torch.isin(few.val_set.indices, usual.val_set.indices).all(), "no other training sees them either"
    assert not torch.isin(few.val_set.indices, few.train_set.indices).any()
    with pytest.raises(ValueError, match="validation_images is 60000, and there are 60000"):
        MNISTDataModule(mnist_dir, validation_images=60_000).setup("fit")


@pytest.mark.mnist
@pytest.mark.parametrize(("binarize", "kept"), [("dynamic", True), (None, False)])
def test_rotation_makes_no_grey_that_is_binarised(mnist_dir: Path, binarize: Any, kept: bool) -> None:
    """An interpolated pixel is a grey one, whose binarisation is noise that the image did not have."""
    module = MNISTDataModule(mnist_dir, binarize=binarize, rotation=5)
    module.setup("fit")
    levels = module.train_set.images.levels[module.train_set.indices[:500]].float() / 255
    seen: list[torch.Tensor] = []
    treatment = SimpleNamespace(binarize=binarize, noisy=False, apply=lambda levels, _: seen.append(levels / 255))
    module.train_set.pixels = treatment  # type: ignore[assignment]
    module.train_set.__getitems__(list(range(500)))
    entropy = [(-torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)).sum((1, 2, 3)).mean() for p in (levels, seen[0])]
    assert bool(abs(entropy[1] / entropy[0] - 1) < 0.02) is kept


@pytest.mark.mnist
def test_binarisation(mnist: MNISTDataModule, mnist_dir: Path) -> None:
    grey = mnist.test_set.__getitems__(list(range(200)))[0]
    assert torch.equal(first_batch(mnist_dir, binarize_threshold=0.5), (grey > 0.5).float())
    drawn = first_batch(mnist_dir, binarize="dynamic")
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert ((drawn == 1) & (grey == 0)).sum() == 0
    assert ((drawn == 0) & (grey == 1)).sum() == 0
    assert drawn.mean().item() == pytest.approx(grey.mean().item(), rel=0.02)
    assert torch.equal(drawn, first_batch(mnist_dir, binarize="dynamic")), "the same at every evaluation"
    module = MNISTDataModule(mnist_dir, binarize="dynamic")
    module.setup("fit")
    once, twice = (module.train_set.__getitems__([0, 1, 2])[0] for _ in range(2))
    assert not torch.equal(once, twice), "a fresh draw at every training pass"
    once, twice = (module.val_set.__getitems__([0, 1, 2])[0] for _ in range(2))
    assert torch.equal(once, twice), "the same at every validation"


@pytest.mark.mnist
def test_dequantisation_and_standardisation(mnist: MNISTDataModule, mnist_dir: Path) -> None:
    grey = mnist.test_set.__getitems__(list(range(200)))[0]
    spread = first_batch(mnist_dir, dequantize=True)
    noise = spread * 256 - grey * 255
    assert noise.min() > -1e-3
    assert noise.max() < 1 + 1e-3
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert spread.max() < 1
    standard = first_batch(mnist_dir, mean=0.1307, std=0.3081)
    torch.testing.assert_close(standard, (grey - 0.1307) / 0.3081)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"binarize_threshold": 0.5, "binarize": "dynamic"}, "exclude each other: give one"),
        ({"binarize": "static"}, "binarize must be None or"),
        ({"binarize_threshold": 1.5}, r"binarize_threshold must be in \[0, 1\)"),
        ({"mean": 0.1}, "give mean and std together"),
        ({"mean": 0.1, "std": 0.0}, "std must be positive"),
        ({"dequantize": True, "binarize": "dynamic"}, "dequantize and binarize exclude"),
        ({"dequantize": True, "mean": 0.1, "std": 0.3}, "dequantize and mean and std exclude"),
        ({"binarize": "dynamic", "mean": 0.1, "std": 0.3}, "binarize excludes mean and std"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"validation_images": 0}, "validation_images must be"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MNISTDataModule(**options)


def test_data_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFVAE_DATA_DIR", "/somewhere")
    assert MNISTDataModule().data_dir == Path("/somewhere")
    assert MNISTDataModule("here").data_dir == Path("here")
    monkeypatch.delenv("HFVAE_DATA_DIR")
    assert MNISTDataModule().data_dir == Path("data")


def test_no_data_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/"])
    module = MNISTDataModule(tmp_path)
    for attempt in (module.prepare_data, module.setup):
        with pytest.raises(FileNotFoundError, match="HFVAE_DATA_DIR") as caught:
            attempt()
        assert str(tmp_path / "MNIST" / "raw") in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing half-written stays"


@pytest.mark.mnist
def test_a_cut_off_file_is_not_taken_for_data(mnist_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(mnist_dir / "MNIST", tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.chmod(0o644)
    path.parent.chmod(0o755)
    with path.open("r+b") as file:
        file.truncate(1_000_000)
    for attempt in (MNISTDataModule(tmp_path).prepare_data, MNISTDataModule(tmp_path).setup):
        with pytest.raises(ValueError, match=r"has 1000000 bytes, and its header says 47040016.*delete it"):
            attempt()


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("name", "place", "wrong", "sentence"),
    [
        ("train-images-idx3-ubyte", 3, 1, "is not an IDX file of bytes in 3 dimensions .it begins with 00000801"),
        ("train-labels-idx1-ubyte", 2, 13, "is not an IDX file of bytes in 1 dimensions"),
        ("t10k-images-idx3-ubyte", 7, 1, "has 7840016 bytes, and its header says"),
        ("t10k-labels-idx1-ubyte", 100, 11, "labels must be 0 to 9, one for each class; got 0 to 11"),
    ],
)
def test_files_that_are_not_mnists(
    name: str, place: int, wrong: int, sentence: str, mnist_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for source in (mnist_dir / "MNIST" / "raw").glob("*ubyte"):
        (folder / source.name).write_bytes(source.read_bytes())
    content = bytearray((folder / name).read_bytes())
    content[place] = wrong
    (folder / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=sentence):
            MNISTDataModule(tmp_path).setup()


@pytest.mark.mnist
def test_another_file_than_the_published_one_is_said(mnist_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(mnist_dir / "MNIST", tmp_path / "MNIST", copy_function=shutil.copyfile)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[5000] ^= 255
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="t10k-images-idx3-ubyte is not the published file"):
        MNISTDataModule(tmp_path).setup()


def idx(array: torch.Tensor) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.numpy().tobytes()


IMAGES = torch.randint(0, 256, (18, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = (torch.arange(18) % 10).byte()
FILES = {
    "train-images-idx3-ubyte": idx(IMAGES[:12]),
    "train-labels-idx1-ubyte": idx(LABELS[:12]),
    "t10k-images-idx3-ubyte": idx(IMAGES[12:]),
    "t10k-labels-idx1-ubyte": idx(LABELS[12:]),
}
SPELLINGS: dict[str, Callable[[str, bytes], dict[str, bytes]]] = {
    "as torchvision unpacks them": lambda name, content: {name: content},
    "packed": lambda name, content: {f"{name}.gz": gzip.compress(content)},
    "packed ones beside them": lambda name, content: {name: content, f"{name}.gz": b"cut off"},
    "with a dot": lambda name, content: {name.replace("-idx", ".idx"): content},
    "with a dot, packed": lambda name, content: {f"{name.replace('-idx', '.idx')}.gz": gzip.compress(content)},
    "in capitals": lambda name, content: {name.upper(): content},
    "some packed": lambda name, content: {f"{name}.gz": gzip.compress(content)} if "train" in name else {name: content},
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://127.0.0.1:9/"])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_files_as_people_have_them(spelling: str, tmp_path: Path, no_network: None) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        for spelt, bytes_of_it in SPELLINGS[spelling](name, content).items():
            (folder / spelt).write_bytes(bytes_of_it)
    module = MNISTDataModule(tmp_path, "FashionMNIST")
    module.prepare_data()
    module.setup()
    assert torch.equal(module.train_set.images.levels, IMAGES[:12, None])
    assert torch.equal(module.test_set.images.levels, IMAGES[12:, None])
    assert torch.equal(module.test_set.images.targets, LABELS[12:].long())


def test_what_torchvision_once_kept_beside_them_is_not_read(tmp_path: Path, no_network: None) -> None:
    """Its class prefers processed/training.pt, which nobody has checked, to the files."""
    for part, files in (("raw", FILES), ("processed", {"training.pt": b"x", "test.pt": b"x"})):
        (tmp_path / "FashionMNIST" / part).mkdir(parents=True)
        for name, content in files.items():
            (tmp_path / "FashionMNIST" / part / name).write_bytes(content)
    module = MNISTDataModule(tmp_path, "FashionMNIST")
    module.setup()
    assert torch.equal(module.test_set.images.levels, IMAGES[12:, None])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(FILES["t10k-images-idx3-ubyte"])[:-20], "is not a complete gzip file .*delete it"),
        (FILES["t10k-images-idx3-ubyte"], "is not a complete gzip file"),
        (gzip.compress(FILES["t10k-images-idx3-ubyte"][:-1]), "has 4719 bytes, and its header says 4720"),
        (gzip.compress(b"<html>not found</html>"), "is not an IDX file of bytes in 3 dimensions"),
    ],
    ids=["cut off", "not packed", "a short array", "an error page"],
)
def test_packed_files_that_are_damaged(content: bytes, words: str, tmp_path: Path, no_network: None) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, whole in FILES.items():
        (folder / name).write_bytes(whole)
    (folder / "t10k-images-idx3-ubyte").unlink()
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        MNISTDataModule(tmp_path, "FashionMNIST").prepare_data()
    assert str(folder / "t10k-images-idx3-ubyte.gz") in str(caught.value)


@pytest.mark.mnist
def test_mnist_packed_is_the_published_one(mnist_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for source in (mnist_dir / "MNIST" / "raw").glob("*ubyte"):
        (folder / f"{source.name}.gz").write_bytes(gzip.compress(source.read_bytes(), 1))
    packed, plain = MNISTDataModule(tmp_path), MNISTDataModule(mnist_dir)
    for module in (packed, plain):
        module.prepare_data()  # a warning of another checksum would be an error
        module.setup("test")
    assert torch.equal(packed.test_set.images.levels, plain.test_set.images.levels)


def test_a_reader_that_does_not_keep_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Dataset("mine", (1, 8, 8), ("cat", "dog"), item="animal")
    monkeypatch.setitem(DATASETS, "mine", record)
    for images in (
        Images(torch.zeros(6, 1, 8, 9, dtype=torch.uint8), torch.zeros(6).long()),
        Images(torch.zeros(6, 1, 8, 8), torch.zeros(6).long()),
        Images(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.zeros(5).long()),
    ):
        monkeypatch.setitem(READERS, "mine", lambda data_dir, train, images=images: images)
        with pytest.raises(ValueError, match=r"must be uint8 of shape \(N, 1, 8, 8\) with N labels"):
            MNISTDataModule(tmp_path, "mine").setup()


@pytest.mark.mnist
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("options", [{"dequantize": True, "rotation": 5}, {"binarize": "dynamic"}, {}])
def test_images_lie_and_batches_are_made_on_the_trainers_device(
    mnist_dir: Path, options: dict[str, Any], workers: int
) -> None:
    """With the device that computes nothing in the place of a GPU: whatever stayed on the CPU would not be on it."""
    data = MNISTDataModule(mnist_dir, num_workers=workers, **options)
    device = torch.device("meta")
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=device))  # type: ignore[assignment]
    data.setup("fit")
    expected = "cpu" if workers else "meta"
    assert {data.train_set.images.levels.device.type, data.val_set.indices.device.type} == {expected}
    for part in (data.train_set, data.val_set):
        x, y = part.__getitems__([0, 3, 8])
        assert (x.device.type, y.device.type) == (expected, expected)
        assert x.shape == (3, 1, 28, 28)
