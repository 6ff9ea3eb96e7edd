"""Records of data sets, and the treatment of pixels that models are trained and measured with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY

from hfvae import hub, load
from hfvae.data import READERS
from hfvae.datasets import DATASETS, Dataset, Pixels, TrainingData, assumed_dataset, find_dataset


@pytest.mark.parametrize("name", DATASETS)
def test_records_are_sound_and_can_be_read(name: str) -> None:
    record = DATASETS[name]
    assert record.name == name
    assert name in READERS
    assert len(set(record.class_names)) == len(record.class_names)
    assert TrainingData.from_json(json.loads(json.dumps(TrainingData(record, Pixels()).to_json()))).dataset == record


@pytest.mark.parametrize("spelling", ["EMNIST-letters", "emnist_letters", "EMNIST/letters", "EmnistLetters"])
def test_names_in_any_spelling(spelling: str) -> None:
    assert find_dataset(spelling).name == "EMNIST-letters"


@pytest.mark.parametrize("name", ["SVHN", "", None, 5])
def test_unknown_names(name: Any) -> None:
    with pytest.raises(ValueError, match="dataset must be one of MNIST, FashionMNIST"):
        find_dataset(name)


@pytest.mark.parametrize(
    "pixels",
    [Pixels(), Pixels(dequantize=True), Pixels("dynamic"), Pixels(None, 0.3), Pixels(mean=0.2, std=0.5)],
    ids=lambda pixels: pixels.protocol,
)
def test_what_a_model_was_trained_on_travels_with_it(pixels: Pixels, tmp_path: Path) -> None:
    vae = TINY["dense"](likelihood_type="Gaussian")
    record = Dataset("mine", (1, 28, 28), ("cat", "dog"), item="animal", hub_id="me/animals", license="mit")
    vae.training_record = TrainingData(record, pixels)
    vae.save_pretrained(tmp_path)
    loaded = load(tmp_path, device="cpu")
    assert loaded.training_data == vae.training_data
    card = (tmp_path / hub.CARD).read_text()
    assert "- me/animals" in card
    assert "the animals of mine" in card
    assert "MNIST" not in card.replace("(`hfvae.sketch`)", "")
    measured = vae.likelihood.evaluation_pixels(pixels)
    assert measured.description in card.replace("\n", " ")


def test_normalisation_is_undone() -> None:
    x = torch.rand(3, 1, 4, 4)
    pixels = Pixels(mean=0.2, std=0.5)
    torch.testing.assert_close(pixels.denormalize(pixels.normalize(x)), x)
    torch.testing.assert_close(pixels.apply(255 * x), (x - 0.2) / 0.5)
    assert Pixels(dequantize=True).normalize(x) is x


@pytest.mark.parametrize(
    ("likelihood_type", "trained", "measured"),
    [
        ("Bernoulli", Pixels(), Pixels("dynamic")),
        ("Bernoulli", Pixels(None, 0.5), Pixels(None, 0.5)),
        ("ContinuousBernoulli", Pixels(), Pixels(dequantize=True)),
        ("Gaussian", Pixels(mean=0.1, std=0.3), Pixels(mean=0.1, std=0.3)),
        ("Laplace", Pixels(), Pixels(dequantize=True)),
    ],
)
def test_the_treatment_that_figures_are_measured_with(likelihood_type: str, trained: Pixels, measured: Pixels) -> None:
    assert TINY["conv"](likelihood_type=likelihood_type).likelihood.evaluation_pixels(trained) == measured


@pytest.mark.parametrize(
    "data",
    [
        5,
        {},
        {"dataset": {"name": "x"}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28]}, "pixels": {"std": 1}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28]}, "pixels": {"unknown": 1}},
        {"dataset": {"name": "x", "image_shape": [28, 28]}, "pixels": {}},
        {"dataset": {"name": "x", "image_shape": [1, 28, "28"]}, "pixels": {}},
        {"dataset": {"name": 5, "image_shape": [1, 28, 28]}, "pixels": {}},
        {"dataset": {"name": "x" * 999, "image_shape": [1, 28, 28]}, "pixels": {}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28], "class_names": ["a", "a"]}, "pixels": {}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28], "class_names": [["a"]]}, "pixels": {}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28], "drawing_box": 10**9}, "pixels": {}},
        {"dataset": {"name": "x", "image_shape": [1, 28, 28], "strange": 1}, "pixels": {}},
    ],
    ids=str,
)
def test_a_strangers_record(data: Any, tmp_path: Path) -> None:
    TINY["dense"]().save_pretrained(tmp_path)
    config = json.loads((tmp_path / hub.CONFIG).read_text())
    (tmp_path / hub.CONFIG).write_text(json.dumps({**config, "data": data}))
    with pytest.raises(hub.ConfigError):
        load(tmp_path, device="cpu")


def test_a_strangers_record_names_no_file_of_this_machine() -> None:
    given = {"name": "x", "image_shape": [1, 28, 28], "test_file": "../../etc/passwd", "classifier": "/etc/passwd"}
    record = TrainingData.from_json({"dataset": given, "pixels": {}}).dataset
    assert record.test_file is record.classifier is None


def test_what_is_assumed_without_a_record() -> None:
    assert assumed_dataset((1, 28, 28)) == DATASETS["MNIST"]
    assert assumed_dataset((3, 8, 8)).name == "unnamed data"
