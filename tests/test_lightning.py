"""What Lightning's users expect of a module and a command: checkpoints, tuners, loggers, validate and test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from support import DEVICES, TINY
from test_training import fit, fit_here, in_this_process, quiet_trainer, short  # noqa: F401
from torch.utils.data import DataLoader

from hfvae import hub
from hfvae.cli.fit import find_recipe, with_recipes_first
from hfvae.training import LogImages, VAETraining

X = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def loader() -> DataLoader[Any]:
    return DataLoader(list(zip(X, torch.arange(64) % 10, strict=True)), batch_size=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[VAETraining, Path]:
    folder = tmp_path_factory.mktemp("trained")
    training = VAETraining(TINY["dense"](), learning_rate=3e-3, kl_warmup_epochs=1)
    trainer = quiet_trainer(folder, max_epochs=1)
    trainer.fit(training, loader())
    trainer.save_checkpoint(folder / "model.ckpt")
    return training, folder / "model.ckpt"


@in_this_process
def test_a_checkpoint_loads_by_itself(trained: tuple[VAETraining, Path]) -> None:
    training, path = trained
    again = VAETraining.load_from_checkpoint(path)
    assert (again.learning_rate, again.kl_warmup_epochs, again.optimizer) == (3e-3, 1, "adam")
    assert again.hparams["learning_rate"] == 3e-3
    for name, value in training.vae.state_dict().items():
        assert torch.equal(again.vae.state_dict()[name], value)
    assert VAETraining.load_from_checkpoint(path, learning_rate=1e-4).learning_rate == 1e-4
    with pytest.raises(hub.NotFoundError, match="no such checkpoint"):
        VAETraining.load_from_checkpoint(path.with_name("none.ckpt"))


@in_this_process
def test_forward_test_and_predict(trained: tuple[VAETraining, Path], tmp_path: Path) -> None:
    training, _ = trained
    trainer = quiet_trainer(tmp_path)
    [measured] = trainer.test(training, loader(), verbose=False)
    assert set(measured) >= {"test/elbo", "test/rate", "test/distortion", "test/bound"}
    codes = torch.cat(trainer.predict(training, loader()))
    torch.testing.assert_close(codes, training.vae.encode(X).mean)
    with torch.no_grad():
        assert training(X).shape == X.shape
        torch.testing.assert_close(training(X), training.vae.decode_image(codes))


@in_this_process
def test_the_learning_rate_finder(tmp_path: Path) -> None:
    training = VAETraining(TINY["dense"]())
    trainer = quiet_trainer(tmp_path, max_epochs=30)
    found = Tuner(trainer).lr_find(training, loader(), num_training=60, min_lr=1e-5, max_lr=1e-1)
    assert found is not None
    assert found.suggestion() is not None
    assert training.learning_rate == found.suggestion()
    trainer.fit(training, loader())


@in_this_process
@pytest.mark.parametrize("device", DEVICES)
def test_any_logger_has_the_pictures(tmp_path: Path, device: str) -> None:
    options: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    logger = CSVLogger(tmp_path, name="csv")
    trainer = Trainer(accelerator=device, max_epochs=1, logger=logger, callbacks=[LogImages()], **options)
    trainer.fit(VAETraining(TINY["dense"]()), loader(), loader())
    folder = Path(logger.log_dir)
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}-4.png" for name in ("reconstructions", "samples", "latents")
    }
    assert "val/elbo" in (folder / "metrics.csv").read_text()


def test_the_order_of_config_and_overrides_does_not_matter() -> None:
    dense, conv = str(find_recipe("mnist_dense")), str(find_recipe("mnist_conv"))
    assert with_recipes_first([]) == ["--config", dense]
    assert with_recipes_first(["--a", "1", "--config", conv]) == ["--config", conv, "--a", "1"]
    assert with_recipes_first(["--a=1", f"--config={conv}", "-c", "mnist_dense"]) == [
        *("--config", conv, "--config", dense, "--a=1")
    ]
    with pytest.raises(FileNotFoundError, match=r"--config x.yaml: no such file, .*mnist_conv, mnist_conv_binary"):
        with_recipes_first(["--config", "x.yaml"])


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("arguments", [["--config", "{}"], ["--config={}"], ["--data", "{}"], ["--data={}"]])
def test_settings_in_another_encoding_are_named(encoding: str, arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "ma recette.yaml"
    path.write_bytes("# d\u00e9j\u00e0 vu\nseed_everything: 1\n".encode(encoding))
    given = [argument.format(path) for argument in arguments]
    with pytest.raises(ValueError, match=r"ma recette\.yaml is not UTF-8 text .* at byte \d+\): save it as UTF-8"):
        with_recipes_first(given)
    path.write_bytes(path.read_bytes().decode(encoding).encode())
    with_recipes_first(given)


@pytest.mark.mnist
def test_validate_and_test(few_digits: Path, tmp_path: Path) -> None:
    recipe = find_recipe("mnist_dense")
    fit(few_digits, *short(tmp_path / "run"), "--config", str(recipe))
    steps = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == 5, "--trainer.max_epochs 1 before --config counts"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for stage, name in (("validate", "val"), ("test", "test")):
        options = [f"--trainer.limit_{name}_batches=2", "--config", str(recipe), "--ckpt_path=last"]
        said = fit(few_digits, stage, *short(tmp_path / "run"), *options)
        assert re.search(rf"{name}/elbo\W+-?\d+\.\d+", said), said
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before, "measuring writes nothing"


@in_this_process
def test_validate_needs_a_checkpoint(fit_here: Any, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(SystemExit, match="validate needs a checkpoint: --ckpt_path last"):
        fit_here("validate", *short(tmp_path / "none"), "--ckpt_path=last")
