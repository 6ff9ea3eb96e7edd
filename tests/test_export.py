"""`hfvae export`: what onnxruntime and torch.export make of the files, against the model itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support import REPOSITORY, TINY

from hfvae import VAE, generate, hub, load, reconstruct
from hfvae.cli.export import main
from hfvae.datasets import DATASETS, Pixels, TrainingData
from hfvae.hub.publish import prepare

onnxruntime = pytest.importorskip("onnxruntime")
FLOW = {"prior_type": "Flow", "prior_options": {"blocks": 3, "features": 8}, "latent_dim": 4}
MODELS: dict[str, Callable[[], VAE]] = {
    **TINY,
    "flow": lambda: TINY["conv"](**FLOW),
    "full covariance": lambda: TINY["dense"](posterior_type="FullCovariance", likelihood_type="Gaussian"),
    "mnist-dense-2d": lambda: load("mnist-dense-2d", device="cpu"),
}
quiet = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    vae = MODELS[request.param]()
    with torch.no_grad():
        for parameter in vae.prior_module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    if request.param == "full covariance":
        vae.training_record = TrainingData(DATASETS["MNIST"], Pixels(mean=0.13, std=0.31))
    vae.save_pretrained(folder)
    return folder


@quiet
def test_onnx(folder: Path) -> None:
    main(["--model", str(folder), "--format", "onnx"])
    vae = VAE.from_pretrained(folder)
    sessions = {path.stem: onnxruntime.InferenceSession(path) for path in (folder / "onnx").glob("*.onnx")}
    assert set(sessions) == {"encoder", "decoder"} | ({"prior"} if vae.prior_type == "Flow" else set())
    for count in (1, 5):
        x, z = torch.rand(count, *vae.image_shape), torch.randn(count, vae.latent_dim)
        q = vae.encode(vae.training_data.pixels.normalize(x))
        mean, std = sessions["encoder"].run(["mean", "std"], {"image": x.numpy()})
        np.testing.assert_allclose(mean, q.mean.detach(), atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(std, q.stddev.detach(), atol=1e-4, rtol=1e-4)
        [image] = sessions["decoder"].run(["image"], {"z": z.numpy()})
        np.testing.assert_allclose(image, generate(vae, z=z), atol=1e-4)
        if "prior" in sessions:
            [drawn] = sessions["prior"].run(["z"], {"noise": z.numpy()})
            np.testing.assert_allclose(drawn, vae.prior_module.flow.inverse(z).detach(), atol=1e-4, rtol=1e-4)
    about = sessions["decoder"].get_modelmeta().custom_metadata_map
    assert about["weights_sha256"] == hub.sha256(folder / hub.WEIGHTS)
    assert about["model_class"] == type(vae).__name__


@quiet
def test_torch(folder: Path, tmp_path: Path) -> None:
    main(["--model", str(folder), "--format", "torch", "--output", str(tmp_path)])
    vae = VAE.from_pretrained(folder)
    programs = {path.stem: torch.export.load(path).module() for path in tmp_path.glob("*.pt2")}
    for count in (1, 5):
        x = torch.rand(count, *vae.image_shape)
        image = programs["decoder"](programs["encoder"](x)[0])
        torch.testing.assert_close(image.detach(), reconstruct(vae, x), atol=1e-5, rtol=1e-5)


@quiet
def test_exports_are_pushed_with_their_weights_only(folder: Path, tmp_path: Path) -> None:
    if not (folder / "onnx").is_dir():
        main(["--model", str(folder)])
    vae = VAE.from_pretrained(folder)
    shutil.rmtree(folder / hub.FIGURES, ignore_errors=True)
    files = prepare(folder, "user/name", vae.facts(), tmp_path, evaluated=False)
    assert {"onnx/encoder.onnx", "onnx/decoder.onnx", "onnx/export.json"} <= set(files)
    with torch.no_grad():
        next(vae.parameters()).add_(1)
    vae.save_pretrained(folder)
    with pytest.raises(hub.PushError, match=r"of other weights.*hfvae export"):
        prepare(folder, "user/name", vae.facts(), tmp_path, evaluated=False)


def test_without_onnx(tmp_path: Path) -> None:
    program = "import sys; sys.modules['onnxscript'] = None; from hfvae.cli.export import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "--model", "mnist-dense-2d", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == 'ONNX export needs more packages: pip install "hfvae[export]"\n'
