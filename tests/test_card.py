"""The model card: what we write, and whose text it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from support import TINY

from hfvae import VAE, hub
from hfvae.demo.cards import read_card
from hfvae.hub.card import validate_card
from hfvae.hub.publish import prepare

EVALUATION: dict[str, Any] = {
    "command": "python train/evaluate.py --model here",
    "versions": {"hfvae": "0.1.0", "torch": "2.14"},
    "metrics": {
        "elbo": {"name": "ELBO", "value": 1234.567, "unit": "nats per image", "protocol": "KL(q || p)"},
        "latent_kl": {"name": "KL of each latent", "value": [1.0, 2.0], "unit": "nats", "protocol": "all"},
        "knn_accuracy": {"name": "15-NN accuracy", "value": 0.87654, "unit": "", "protocol": "of means"},
        "active_units": {"name": "Active units", "value": 2, "unit": "of 2", "protocol": "variance"},
    },
}
TRAINING = {
    "command": "python train/fit.py --trainer.max_epochs 3",
    "recipe": "model:\n  vae: {}",
    "epochs": 3,
    "minutes": 1.5,
    "device": "CPU, 2 threads",
    "precision": "bf16-mixed",
    "commit": "0123456789abcdef",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    TINY["dense"]().save_pretrained(folder)
    return folder


def evaluate(folder: Path, **changes: Any) -> None:
    (folder / hub.METRICS).write_text(json.dumps(EVALUATION | changes))
    (folder / hub.TRAINING).write_text(json.dumps(TRAINING))
    (folder / hub.FIGURES).mkdir(exist_ok=True)
    (folder / hub.FIGURES / "samples.png").touch()
    hub.write_card(folder, VAE.from_pretrained(folder).facts())


def text(folder: Path) -> str:
    return (folder / hub.CARD).read_text()


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({}, "for 3 epochs in 1.5 minutes (CPU, 2 threads, bf16-mixed); the weights are those of the best validation"),
        ({"steps": 1234, "weights": "best", "validation_bound": 12.345}, "the best validation bound, 12.35 nats. Code"),
        ({"steps": 1234, "weights": "last", "validation_bound": None}, "the last step, since there was no validation."),
        ({"epochs": 1, "steps": 1234}, "for 1 epoch (1,234 steps) in 1.5 minutes"),
    ],
    ids=["of an earlier version", "best", "last", "one epoch"],
)
def test_the_card_says_which_weights_it_is_about(record: dict[str, Any], sentence: str, folder: Path) -> None:
    (folder / hub.TRAINING).write_text(json.dumps(TRAINING | record))
    hub.write_card(folder, VAE.from_pretrained(folder).facts())
    assert sentence in " ".join(text(folder).split())


def test_a_fresh_card_is_valid_and_says_what_is_missing(folder: Path) -> None:
    data = validate_card(text(folder)).data.to_dict()
    assert (data["library_name"], data["license"], data["datasets"]) == ("hfvae", "mit", ["ylecun/mnist"])
    assert {"vae", "mnist"} <= set(data["tags"])
    assert "# my-model" in text(folder)
    assert "Not evaluated yet" in text(folder)


def test_measured_numbers_stand_on_the_card_and_in_the_model_index(folder: Path) -> None:
    evaluate(folder)
    written = text(folder)
    for line in (
        r"| ELBO | 1234.57 nats per image | KL(q \|\| p) |",
        "| 15-NN accuracy | 0.8765  | of means |",
        "| Active units | 2 of 2 | variance |",
        "python train/fit.py --trainer.max_epochs 3",
        "model:\n  vae: {}",
        "3 epochs in 1.5 minutes",
        "Code: commit 0123456789abcdef.",
        f"| model.safetensors | `{hub.sha256(folder / hub.WEIGHTS)}` |",
        "](figures/samples.png)",
        "lambda kept in [1e-4, 1 - 1e-4]",
    ):
        assert line in written
    assert "figures/latents.png" not in written, "a figure that is not there"
    results = {result.metric_type: result.metric_value for result in ModelCard(written).data.eval_results or []}
    assert results == {"elbo": 1234.567, "knn_accuracy": 0.87654, "active_units": 2}


def test_text_written_by_hand_stays(folder: Path) -> None:
    evaluate(folder)
    path = folder / hub.CARD
    edited = text(folder).replace("# my-model\n", "# My model\n\nWhat I think of it: **good**.\n")
    edited = edited.replace("license: mit", "license: apache-2.0\nlanguage: en").replace("- vae\n", "- vae\n- mine\n")
    begin, end = edited.index("<!-- hfvae:limits -->"), edited.index("<!-- /hfvae:limits -->") + 24
    path.write_text(edited[:begin] + edited[end:] + "\n## Thanks\n\nTo everybody.\n")
    better = {**EVALUATION["metrics"], "elbo": {**EVALUATION["metrics"]["elbo"], "value": 1300.0}}
    evaluate(folder, metrics=better)
    written = text(folder)
    assert "What I think of it: **good**." in written
    assert written.endswith("## Thanks\n\nTo everybody.\n")
    assert "1300.00 nats" in written
    assert "1234.57" not in written
    assert "hfvae:limits" not in written, "a part that was deleted stays away"
    data = ModelCard(written).data.to_dict()
    assert (data["license"], data["language"]) == ("apache-2.0", "en")
    assert "mine" in data["tags"]
    assert "value: 1300.0" in written
    hub.write_card(folder, VAE.from_pretrained(folder).facts())
    assert text(folder) == written, "writing it again changes nothing"


def test_a_card_without_our_marks_keeps_its_body(folder: Path) -> None:
    (folder / hub.CARD).write_text("---\nlicense: mit\n---\n\nAll mine.\n")
    evaluate(folder)
    assert text(folder).endswith("---\n\nAll mine.\n")
    assert "value: 1234.567" in text(folder)


@pytest.mark.parametrize("likelihood_type", ["Bernoulli", "Gaussian"])
def test_limits_name_the_protocol(likelihood_type: str, tmp_path: Path) -> None:
    TINY["conv"](likelihood_type=likelihood_type).save_pretrained(tmp_path)
    assert ("dynamically binarised" in text(tmp_path)) == (likelihood_type == "Bernoulli")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("no front matter", "no front matter"),
        ("---\ntags: []\n---\n", "names no license"),
        ("---\n{:\n---\n", "cannot be read"),
        ("---\nlicense: mit\n", "cannot be read|names no license"),
        ("---\n- a list\n---\n", "cannot be read"),
    ],
)
def test_what_no_hub_would_take(content: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        validate_card(content)


BOM = "\ufeff"


def test_a_byte_order_mark_costs_nothing(folder: Path) -> None:
    """Some editors put one first; a card with one would get a second front matter, above its own."""
    mine = "---\nlicense: cc0-1.0\n---\n\nMine.\n"
    (folder / hub.CARD).write_text(BOM + mine, encoding="utf-8")
    (folder / hub.METRICS).write_text(BOM + json.dumps(EVALUATION), encoding="utf-8")
    (folder / hub.TRAINING).write_text(BOM + json.dumps(TRAINING), encoding="utf-8")
    (folder / hub.CONFIG).write_text(BOM + (folder / hub.CONFIG).read_text(), encoding="utf-8")
    vae = VAE.from_pretrained(folder)
    hub.write_card(folder, vae.facts())
    card = validate_card(text(folder))
    assert (card.data.license, card.text.strip()) == ("cc0-1.0", "Mine.")
    assert text(folder).count("\n---\n") == 1
    assert [result.metric_value for result in card.data.eval_results] == [1234.567, 0.87654, 2]


def test_a_card_with_a_byte_order_mark_is_pushed_and_shown(folder: Path, tmp_path: Path) -> None:
    (folder / hub.CARD).write_text(BOM + "---\nlicense: cc0-1.0\n---\n\nMine.\n", encoding="utf-8")
    files = prepare(folder, "user/name", VAE.from_pretrained(folder).facts(), tmp_path, evaluated=False)
    assert files[hub.CARD].read_text(encoding="utf-8").startswith("---\nlicense: cc0-1.0\n")
    assert read_card(hub.ModelSource(folder), "name") == "Mine."


@pytest.mark.parametrize("record", [hub.METRICS, "onnx/export.json"])
def test_a_record_with_a_byte_order_mark_is_taken(record: str, folder: Path, tmp_path: Path) -> None:
    path = folder / record
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({**EVALUATION, "weights_sha256": hub.sha256(folder / hub.WEIGHTS)})
    path.write_text(BOM + text, encoding="utf-8")
    facts = VAE.from_pretrained(folder).facts()
    assert record in prepare(folder, "user/name", facts, tmp_path, evaluated=record == hub.METRICS)
