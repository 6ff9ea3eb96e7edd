"""`train/fit.py` as a user runs it, in a process of its own, and the parts it is made of."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from support import LIKELIHOOD_TYPES, REPOSITORY, TINY, for_training

from hfvae import VAE, DenseVAE, hub, load
from hfvae.cli import fit as script
from hfvae.networks import ResidualBlock
from hfvae.probability.likelihoods import INITIAL_SIGMA
from hfvae.probability.sampling import rsample
from hfvae.training import AverageWeights, Diverged, NoAugmentationAtEnd, VAETraining
from hfvae.training.muon import orthogonalized
from hfvae.training.objectives import importance_weighted_bound
from hfvae.training.optimizers import OPTIMIZERS, muon

in_this_process = pytest.mark.filterwarnings("ignore")  # Lightning's command line warns of its own parts
CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "train" / "fit.py"), *arguments]


def fit(few_digits: Path, *arguments: str) -> str:
    environment = for_training(few_digits)
    done = subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def fit_here(few_digits: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The same in this process, which has imported everything already."""
    monkeypatch.setenv("HFVAE_DATA_DIR", str(few_digits))

    def fit_here(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["fit.py", *arguments])
        script.main()

    return fit_here


def short(root: Path, epochs: int = 1) -> list[str]:
    return [
        f"--trainer.default_root_dir={root}",
        f"--trainer.max_epochs={epochs}",
        "--trainer.limit_train_batches=5",
        "--trainer.limit_val_batches=2",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=32",
    ]


def quiet_trainer(folder: Path, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@pytest.fixture(scope="module")
def run(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A short run of the dense recipe: its folder and what it printed."""
    root = tmp_path_factory.mktemp("run")
    return root, fit(few_digits, "--ckpt_path=last", *short(root, epochs=2))


@pytest.mark.mnist
def test_a_run_leaves_logs_checkpoints_and_a_hub_folder(run: tuple[Path, str]) -> None:
    root, printed = run
    assert "Restored" not in printed, "there is no last checkpoint yet"
    assert {path.name for path in root.iterdir()} == {".lock", "logs", "checkpoints", "pretrained"}
    assert {path.name for path in (root / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for following in ("python app.py --model", "python train/evaluate.py --model"):
        assert f"{following} {root / 'pretrained'}" in printed
    vae = load(root / "pretrained", device="cpu")
    assert isinstance(vae, DenseVAE)
    best = DenseVAE.load_from_checkpoint(root / "checkpoints" / "best.ckpt")
    assert not best.training
    assert best.config == vae.config
    assert all(torch.equal(a, b) for a, b in zip(best.parameters(), vae.parameters(), strict=True))
    latents = hub.ModelSource(root / "pretrained").latents()
    assert latents.mean.shape == (500, 2)
    assert latents.elbo is not None
    assert latents.elbo.shape == (500,)


@pytest.mark.mnist
def test_tensorboard_has_the_bound_and_the_pictures(run: tuple[Path, str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run[0] / "logs"))
    events.Reload()
    scalars, pictures = set(events.Tags()["scalars"]), set(events.Tags()["images"])
    assert {f"{stage}/{part}" for stage in ("train", "val") for part in ("elbo", "rate", "distortion")} <= scalars
    assert pictures == {"reconstructions", "samples", "latents"}


HOLD_LOCK = """
import sys, time
from pathlib import Path
from hfvae.cli.fit import only_run_in
with only_run_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.mnist
@in_this_process
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_runs(config: Path, fit_here: Callable[..., None], tmp_path: Path) -> None:
    stretch = ["--model.importance_epochs=1"] if "importance_epochs" in config.read_text() else []
    root = f"--trainer.default_root_dir={tmp_path}"
    fit_here("--config", str(config), root, "--trainer.fast_dev_run=true", *stretch)


@pytest.mark.mnist
@in_this_process
@pytest.mark.parametrize(
    "config", [path for path in CONFIGS if "callbacks" in path.read_text()], ids=lambda path: path.stem
)
def test_averaged_weights_do_not_ruin_a_short_run(
    config: Path, fit_here: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--model.vae.init_args.hidden_features=[64]", "--data.batch_size=50"]
    small.append("--data.validation_images=600")
    if "ConvVAE" in config.read_text():
        small.append("--model.vae.init_args.channels=[4,8]")
    if "prior_options" in config.read_text():
        small.append('--model.vae.init_args.prior_options={"blocks": 2, "features": 16}')
    limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=60", "--trainer.limit_val_batches=4"]

    def bound(name: str, *settings: str) -> float:
        root = f"--trainer.default_root_dir={tmp_path / name}"
        fit_here("--config", str(config), root, *limits, *small, *settings)
        found = re.search(r"validation bound (-?[\d.]+) nats", capsys.readouterr().out)
        assert found
        return float(found[1])

    averaged, plain = bound("averaged"), bound("plain", "--trainer.callbacks=null")
    assert averaged > plain - 0.05 * abs(plain)


@pytest.mark.parametrize("every", [1, 8])
def test_the_average_forgets_the_beginning(every: int) -> None:
    average = AverageWeights(decay=0.9, every_n_steps=every)
    weights, current = [torch.zeros(1)], [torch.ones(1)]
    for step in range(5):
        average._average(weights, current, step)
    assert weights[0].item() > 0.95, "with a decay of 0.9 from the start it would be 0.41"
    for _ in range(3):
        average._average(weights, [torch.zeros(1)], 10**6)
    assert weights[0].item() == pytest.approx(0.9 ** (3 * every), rel=0.05), "in a long run it is the usual average"
    with pytest.raises(ValueError, match="decay must be in"):
        AverageWeights(decay=1.0)
    with pytest.raises(ValueError, match="every_n_steps must be"):
        AverageWeights(every_n_steps=0)
    assert [step for step in range(120) if average.should_update(step) and step >= 98] == [
        98,
        99,
        *range(104 if every > 1 else 100, 120, every),
    ]


def test_an_average_of_every_eighth_step_is_nearly_that_of_every_step() -> None:
    weights = torch.randn(2000, generator=torch.Generator().manual_seed(0)).cumsum(0)  # of a training that drifts
    averages = []
    for every in (1, 8):
        average, averaged, updates = AverageWeights(decay=0.99, every_n_steps=every), [weights[:1].clone()], 0
        for step in range(2000):
            if average.should_update(step):
                average._average(averaged, [weights[step : step + 1]], updates)
                updates += 1
        averages.append(averaged[0].item())
    assert averages[0] == pytest.approx(averages[1], abs=1.5), "a step has the size 1, the drift one of 45"


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
@pytest.mark.parametrize("fast", [True, False], ids=["bfloat16", "float32"])
def test_muon_orthogonalises(shape: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae.training.muon.has_fast_bf16", lambda: fast)
    direction = orthogonalized(torch.randn(shape))
    assert direction.dtype == (torch.bfloat16 if fast else torch.float32)
    assert direction.shape == shape
    values = torch.linalg.svdvals(direction.float())
    assert 0.5 < values.min() < values.max() < 1.4


def test_muon_takes_convolutions_and_decays_weights() -> None:
    vae = TINY["residual"]()
    hidden = next(block for block in vae.encoder.modules() if isinstance(block, ResidualBlock))[1].weight
    before = hidden.detach().clone()
    vae.elbo(torch.rand(2, 1, 28, 28)).elbo.sum().backward()
    gradient = hidden.grad.clone()
    muon(vae, 1e-3, weight_decay=0.1).step()
    step = hidden.detach() - before * (1 - 1e-3 * 0.1)
    assert step.norm() == pytest.approx(1e-3 * 0.2 * max(step.flatten(1).shape) ** 0.5 * 2, rel=0.5)
    assert torch.cosine_similarity(step.flatten(), gradient.flatten(), 0) < -0.3, "downhill"


@pytest.mark.mnist
@in_this_process
@pytest.mark.parametrize(
    "settings",
    [["likelihood_type=Gaussian"], ["likelihood_type=Laplace"], ["beta=4"]],
    ids=lambda settings: settings[0],
)
def test_other_objectives_train_on_real_digits(
    settings: list[str], fit_here: Callable[..., None], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = [f"--model.vae.init_args.{setting}" for setting in settings]
    limits = ["--trainer.limit_train_batches=150", "--trainer.limit_val_batches=2", "--trainer.log_every_n_steps=5"]
    root = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1", "--data.batch_size=20"]
    fit_here(*arguments, *limits, *root)
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    elbos = [event.value for event in events.Scalars("train/elbo")]
    assert all(map(math.isfinite, elbos))
    assert sum(elbos[-5:]) / 5 > sum(elbos[:5]) / 5 + 50
    vae = load(tmp_path / "pretrained", device="cpu")
    if settings != ["beta=4"]:
        assert vae.sigma is not None
        assert 0 < vae.sigma != pytest.approx(INITIAL_SIGMA, rel=1e-3), "learned"


@in_this_process
@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--data.data_dir=nowhere", "MNIST could not be downloaded"),
        ("--model.vae.init_args.latent_dim=0", "latent_dim must be between 1 and"),
        ("--data.binarize=dynamic", "give one of them"),
        ("--trainer.devices=266026732", "devices must be at most 1024, got 266026732"),
        ("--trainer.precision=bf16-true", "precision must be one of 32-true, .*, got bf16-true: weights in half"),
        ("--trainer.precision=16-true", "got 16-true"),
        ("--trainer.precision=transformer-engine", "got transformer-engine"),
        ("--trainer.enable_checkpointing=false", "fit exports its model from a checkpoint: leave out"),
        ("--trainer.barebones=true", "fit exports its model from a checkpoint: leave out"),
    ],
)
def test_bad_settings_end_in_a_sentence(
    argument: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # no proxy in the environment: urllib would keep it for all later tests of this process
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(sys, "argv", ["fit.py", argument])
    with pytest.raises(SystemExit, match=sentence):
        script.main()


@pytest.mark.mnist
@in_this_process
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["--trainer.val_check_interval=100"], "val_check_interval"),
        (["--trainer.max_epochs=-1"], "needs an end: set --trainer.max_epochs"),
        (["--model.importance_epochs=5", "--model.importance_samples=2"], "set max_epochs to at least as many"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_the_run_end_in_a_sentence(
    settings: list[str], sentence: str, fit_here: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=sentence):
        fit_here(*short(tmp_path), *settings)


@pytest.mark.mnist
@in_this_process
@pytest.mark.parametrize(
    "settings",
    [
        ["--optimizer=AdamW", "--optimizer.lr=1e-3"],
        ["--optimizer=SGD", "--optimizer.lr=1e-3", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=1"],
        ["--trainer.precision=64-true"],
        ["--trainer.precision=16-mixed"],
        ["--trainer.plugins=lightning.pytorch.plugins.io.TorchCheckpointIO"],
        ["--trainer.log_every_n_steps=0"],
    ],
    ids=lambda settings: settings[0],
)
def test_the_trainer_s_settings(settings: list[str], fit_here: Callable[..., None], tmp_path: Path) -> None:
    """Each trains, exports, and goes on."""
    for epochs in (1, 2):
        fit_here(*short(tmp_path, epochs), "--ckpt_path=last", *settings)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 10
    assert all(value.isfinite().all() for value in load(tmp_path / "pretrained", device="cpu").parameters())


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
@pytest.mark.parametrize("kind", sorted(TINY))
def test_loss_falls(kind: str, likelihood_type: str, tmp_path: Path) -> None:
    vae = TINY[kind](likelihood_type=likelihood_type)
    x = (torch.rand(1, 1, 28, 28) > 0.7).float().expand(64, 1, 28, 28).contiguous()
    with torch.no_grad():
        before = vae.elbo(x).elbo.mean()
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    loader = torch.utils.data.DataLoader([(x, 0)] * 60, batch_size=None)
    trainer.fit(VAETraining(vae, learning_rate=0.01), loader, loader)
    with torch.no_grad():
        assert vae.elbo(x).elbo.mean() > before + 50


def test_beta_and_warm_up_weigh_the_rate(tmp_path: Path) -> None:
    vae = TINY["dense"](beta=4.0)
    training = VAETraining(vae)
    training.trainer = quiet_trainer(tmp_path, max_epochs=1)
    training.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    x = torch.rand(8, 1, 28, 28)
    torch.manual_seed(0)
    loss = training.training_step((x, x))
    torch.manual_seed(0)
    bound = vae.elbo(x)
    torch.testing.assert_close(loss, (bound.distortion + 4 * bound.rate).mean())
    assert VAETraining(vae, kl_warmup_epochs=4).rate_weight == 1.0, "a quarter of beta in the first of four epochs"


@pytest.mark.parametrize("num_samples", [2, 5])
def test_importance_weighted_bound(num_samples: int) -> None:
    """Its value is the plain bound's, its gradient estimates the same and is less noisy for the encoder."""
    vae = DenseVAE([8], 2, "Bernoulli").double()
    x = (torch.rand(3, 1, 28, 28) > 0.7).double()

    def plain() -> torch.Tensor:
        q = vae.encode(x)
        z = rsample(q, (num_samples,))
        return vae.log_weights(x, z, q).logsumexp(0) - math.log(num_samples)

    def gradients(bound: Callable[[], torch.Tensor]) -> torch.Tensor:
        rows = []
        for seed in range(400):
            torch.manual_seed(seed)
            rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(bound().mean(), [*vae.parameters()])]))
        return torch.stack(rows)

    torch.manual_seed(0)
    value = plain()
    torch.manual_seed(0)
    torch.testing.assert_close(importance_weighted_bound(vae, x, num_samples), value)
    ours, theirs = gradients(lambda: importance_weighted_bound(vae, x, num_samples)), gradients(plain)
    assert torch.nn.functional.cosine_similarity(ours.mean(0), theirs.mean(0), dim=0) > 0.99
    encoder = slice(0, sum(parameter.numel() for parameter in vae.encoder.parameters()))
    assert ours[:, encoder].var(0).sum() < theirs[:, encoder].var(0).sum()


def test_the_last_epochs_maximise_the_importance_weighted_bound(tmp_path: Path) -> None:
    logged: dict[int, set[str]] = {}

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            logged.setdefault(trainer.current_epoch, set()).update(trainer.logged_metrics)

    x = (torch.rand(8, 1, 28, 28) > 0.7).float()
    loader = torch.utils.data.DataLoader([(x, 0)] * 2, batch_size=None)
    trainer = quiet_trainer(tmp_path, max_epochs=3, callbacks=[Watch()], log_every_n_steps=1)
    trainer.fit(VAETraining(TINY["conv"](), importance_epochs=1, importance_samples=4), loader, loader)
    assert ["train/bound" in logged[epoch] for epoch in range(3)] == [False, False, True]
    assert trainer.callback_metrics["val/bound"] > trainer.callback_metrics["val/elbo"], "four samples are better"


def test_more_importance_epochs_than_epochs(tmp_path: Path) -> None:
    loader = torch.utils.data.DataLoader([(torch.rand(4, 1, 28, 28), 0)], batch_size=None)
    training = VAETraining(TINY["dense"](), importance_epochs=5, importance_samples=2)
    with pytest.raises(MisconfigurationException, match="set max_epochs to at least as many"):
        quiet_trainer(tmp_path, max_epochs=2).fit(training, loader, loader)


def test_an_epoch_s_randomness_depends_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    """A run that is resumed after an epoch goes on as it would have."""
    seeds: list[int] = []

    class Watch(Callback):
        def on_train_batch_start(self, *_: object) -> None:
            seeds.append(torch.initial_seed())
            torch.rand(1)

    loader = torch.utils.data.DataLoader([(torch.rand(4, 1, 28, 28), 0)], batch_size=None)
    for _ in range(2):
        torch.manual_seed(7)
        trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[Watch()])
        trainer.fit(VAETraining(TINY["dense"]()), loader, loader)
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


def test_training_without_an_end_is_refused(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=-1)
    x = torch.rand(4, 1, 28, 28)
    loader = torch.utils.data.DataLoader([(x, 0)], batch_size=None)
    with pytest.raises(MisconfigurationException, match="needs an end"):
        trainer.fit(VAETraining(TINY["dense"]()), loader, loader)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.0},
        {"optimizer": "sgd"},
        {"warmup": 1.0},
        {"kl_warmup_epochs": -1},
        {"importance_epochs": 3},
        {"importance_samples": 3},
        {"weight_decay": -0.1},
    ],
)
def test_bad_settings(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        VAETraining(TINY["dense"](), **options)


def test_muon_moves_hidden_weights_along_orthogonal_matrices(make_vae: Callable[..., VAE]) -> None:
    vae = make_vae(hidden_features=[16, 8], latent_dim=3, likelihood_type="Gaussian")
    optimizer = muon(vae, learning_rate=0.1)
    hidden, rest = (group["params"] for group in optimizer.param_groups)
    assert sorted(map(id, vae.parameters())) == sorted(map(id, [*hidden, *rest]))
    assert all(p.ndim > 1 and not {1, 784, 3 if p.ndim == 2 else 1}.intersection(p.shape[:2]) for p in hidden)
    before = [p.detach().clone() for p in hidden]
    vae.elbo(torch.rand(64, *vae.image_shape)).elbo.mean().neg().backward()
    optimizer.step()
    for old, new in zip(before, hidden, strict=True):
        gradient, step = new.grad.flatten(1), (old - new).detach().flatten(1)
        if min(step.shape) > 3:  # a matrix narrower than that is left to Adam
            largest = torch.linalg.matrix_norm(step, 2) / (0.1 * 0.2 * max(step.shape) ** 0.5)
            assert 0.9 < largest < 1.2, "five Newton-Schulz steps bring the singular values near 1"
            assert (gradient * step).sum() > 0, "downhill"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_decay(name: str, make_vae: Callable[..., VAE]) -> None:
    vae = make_vae(hidden_features=[16, 8])
    optimizer = OPTIMIZERS[name](vae, 0.1, True, 0.5)
    decaying = optimizer.param_groups[0]["params"]
    assert len(decaying) == len(list(vae.parameters())) if name == "adam" else all(p.ndim > 1 for p in decaying)
    chosen = set(decaying)
    before = [p.detach().clone() for p in vae.parameters()]
    for p in vae.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for old, new in zip(before, vae.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), 0.95 * old if new in chosen else old)


def test_muon_without_a_hidden_layer_is_adam() -> None:
    vae = DenseVAE(hidden_features=[16], latent_dim=2)
    optimizer = muon(vae, learning_rate=0.1)
    before = [p.detach().clone() for p in vae.parameters()]
    vae.elbo(torch.rand(8, *vae.image_shape)).elbo.mean().neg().backward()
    optimizer.step()
    for old, new in zip(before, vae.parameters(), strict=True):
        assert (old - new).abs().max().item() == pytest.approx(0.05, rel=0.01), "half the rate"


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"PK\x03\x04"])
def test_a_checkpoint_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(hub.HubError, match=str(path)):
        VAE.load_from_checkpoint(path)


def test_a_foreign_or_hostile_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(hub.WeightsError, match="not a whole checkpoint"):
        VAE.load_from_checkpoint(path)
    torch.save({"state_dict": {}, "hfvae": os.system}, path)
    with pytest.raises(hub.WeightsError, match="not a whole checkpoint"):
        VAE.load_from_checkpoint(path)


@pytest.mark.mnist
def test_damage_within_a_checkpoint_is_noticed(run: tuple[Path, str], tmp_path: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        shutil.copy(run[0] / "checkpoints" / name, tmp_path / name)
    path = tmp_path / "last.ckpt"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(byte ^ 255 for byte in content[middle : middle + 400])
    path.write_bytes(content)
    with pytest.raises(hub.WeightsError, match=r"its part .* is damaged. The best model so far is in .*best.ckpt"):
        script.checkpoint_to_resume("last", path)


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"global_step": -5}, "it counts -5 steps"),
        ({"epoch": 10**9}, "1000000000 epochs"),
        ({"global_step": "many"}, "it counts 'many' steps"),
        ({"optimizer_states": []}, "its optimizer_states are empty"),
        ({"lr_schedulers": None}, "its lr_schedulers are not a list"),
        ({"callbacks": {"Timer": 3}}, "TypeError"),
        ({"loops": {}}, "its loops are empty"),
        ({"loops": None}, "its loops are empty"),
    ],
    ids=str,
)
def test_a_checkpoint_that_no_training_wrote(
    change: dict[str, Any], sentence: str, run: tuple[Path, str], tmp_path: Path
) -> None:
    content = torch.load(run[0] / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({**content, **change}, tmp_path / "last.ckpt")
    with pytest.raises(hub.WeightsError, match=sentence):
        script.checkpoint_to_resume("last", tmp_path / "last.ckpt")
    next(iter(content["state_dict"].values())).view(-1)[0] = math.nan
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(hub.WeightsError, match="its weights hold NaN or infinity"):
        script.checkpoint_to_resume("last", tmp_path / "last.ckpt")


@pytest.mark.mnist
@in_this_process
def test_two_runs_in_one_folder(fit_here: Callable[..., None], tmp_path: Path) -> None:
    with script.only_run_in(tmp_path), pytest.raises(SystemExit, match=f"Another run is writing to {tmp_path}"):
        fit_here(*short(tmp_path))
    assert not (tmp_path / "checkpoints").exists()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(SystemExit), script.only_run_in(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with script.only_run_in(tmp_path):
        pass


without_validation = pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:The 'train_dataloader'"
)


def batches(*sizes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.rand(size, 1, 28, 28), torch.zeros(size, dtype=torch.long)) for size in sizes]


@without_validation
def test_a_compiled_model_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch of an epoch, of another size, is not compiled anew, and distributions go on checking values."""
    torch._dynamo.reset()
    compiled: list[Any] = []
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or original(function))
    weights = []
    for setting in (False, True):
        torch.manual_seed(0)
        data = batches(16, 16, 7)
        training = VAETraining(TINY["dense"](), learning_rate=1e-2, compile=setting)
        with torch._inductor.config.patch(fallback_random=True):  # draws as without compilation
            quiet_trainer(tmp_path, max_epochs=2).fit(training, torch.utils.data.DataLoader(data, batch_size=None))
        weights.append(torch.cat([value.flatten() for value in training.vae.state_dict().values()]))
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
    assert compiled[-1].__self__ is training.vae
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2, "the trial's and the ELBO's"
    assert torch.distributions.Distribution._validate_args


@without_validation
@pytest.mark.parametrize(("setting", "steps"), [("auto", 1999), ("auto", 2000), (True, 1)])
def test_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, setting: Any, steps: int
) -> None:
    monkeypatch.setattr("hfvae.training.module.can_compile", lambda: False)
    said: list[str] = []
    monkeypatch.setattr("hfvae.training.module.rank_zero_info", said.append)
    training = VAETraining(TINY["dense"](), compile=setting)
    trainer = quiet_trainer(tmp_path, max_steps=steps, callbacks=[StopAtOnce()])
    loader = torch.utils.data.DataLoader(batches(4), batch_size=None)
    if setting is True:
        with pytest.raises(MisconfigurationException, match="needs a working C"):
            trainer.fit(training, loader)
    else:
        trainer.fit(training, loader)
        assert bool(said) == (steps >= 2000)


class StopAtOnce(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


@without_validation
def test_steps_that_are_checked_together(tmp_path: Path) -> None:
    """As on a GPU: what went wrong since the last check stops the training before it can reach a checkpoint."""
    training = VAETraining(TINY["dense"]())
    quiet_trainer(tmp_path, max_steps=1).fit(training, torch.utils.data.DataLoader(batches(4), batch_size=None))
    norms = [1.0, 2.0, math.nan, math.nan, 1.0]
    for check in (training.on_validation_start, lambda: training.on_save_checkpoint({})):
        training._gradients._unchecked = [
            (torch.tensor(norm), f"batch {step}", step) for step, norm in enumerate(norms)
        ]
        with pytest.raises(Diverged, match="not finite in step 2"):
            check()
        assert torch.load(tmp_path / "diverged-0.pt")["batch"] == "batch 2"


def test_the_last_epochs_are_not_rotated() -> None:
    data = SimpleNamespace(augmentation="turned", num_workers=0, train_set=SimpleNamespace())
    trainer: Any = SimpleNamespace(datamodule=data, max_epochs=6)
    training = VAETraining(TINY["dense"]())
    augmentations = []
    for trainer.current_epoch in range(6):
        NoAugmentationAtEnd(2).on_train_epoch_start(trainer, training)
        augmentations.append(data.train_set.augmentation)
    assert augmentations == ["turned"] * 4 + [None] * 2
    for setting, value, sentence in (("max_epochs", -1, "max_epochs"), ("datamodule", data, "num_workers 0")):
        data.num_workers = int(setting == "datamodule")
        setattr(trainer, setting, value)
        with pytest.raises(MisconfigurationException, match=sentence):
            NoAugmentationAtEnd(2).on_train_epoch_start(trainer, training)
    with pytest.raises(ValueError, match="last_epochs"):
        NoAugmentationAtEnd(0)


@pytest.mark.mnist
@in_this_process
def test_a_published_model_trains_on(tmp_path: Path, fit_here: Callable[..., None]) -> None:
    published = tmp_path / "published"
    vae = TINY["dense"]()
    vae.save_pretrained(published)
    model = ["--model.vae=hfvae.load", f"--model.vae.model={published}", "--model.vae.device=cpu"]
    fit_here(*short(tmp_path / "run"), *model, "--model.learning_rate=1e-9", "--model.optimizer=adam")
    trained = load(tmp_path / "run" / "pretrained", device="cpu")
    assert trained.config == vae.config
    for name, value in vae.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=0, atol=1e-5)
