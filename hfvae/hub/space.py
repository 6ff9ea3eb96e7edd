"""The files of a Space: this package without training and bundled models, and what tells the hub how to run it.

The hub installs a Space's requirements.txt before it has the Space's other files, so the package cannot be installed
from a wheel in the Space: its files are sent instead.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from huggingface_hub import constants
from packaging.requirements import Requirement

from ..version import CLONE, PACKAGE, __version__
from .errors import NotFoundError

HARDWARE = "cpu-basic"
CPU_BUILDS = "--extra-index-url https://download.pytorch.org/whl/cpu"
"""PyTorch's own builds, without 4 GB of CUDA packages; the address that pytorch.org gives."""
NOT_IN_A_SPACE = (
    *("pretrained", "recipes", "training", "data", "evaluation/metrics.py", "evaluation/plots.py", "export.py"),
    *(
        "cli/classifier.py",
        "cli/evaluate.py",
        "cli/export.py",
        "cli/fit.py",
        "cli/push.py",
        "cli/result.py",
    ),
)
"""What only training, evaluation and publishing need, relative to the package."""
APP = '''"""Draw digits, move latents, explore the latent map: `python app.py`, or hosted as a Space."""

from hfvae.cli.app import main

if __name__ == "__main__":
    demo = main()
'''
"""The Space's app.py, which is that of a clone."""
CARD = """---
title: {title}
emoji: ✍️
colorFrom: gray
colorTo: blue
sdk: gradio
sdk_version: {gradio}
app_file: app.py
python_version: "3.11"
short_description: Draw digits and walk through a VAE's latent space
thumbnail: {endpoint}/{model}/resolve/main/figures/samples.png
suggested_hardware: {hardware}
license: mit
models:
- {model}
preload_from_hub:
- {model} config.json,model.safetensors,latents.safetensors
tags:
- vae
- mnist
---

Draw, move latents and explore the latent map of [{model}]({endpoint}/{model}), with hfvae {version}.
Its variable `HFVAE_MODELS` names the models to load, separated by commas.
"""


def space_files(scratch: Path, space: str, model: str, hardware: str = HARDWARE) -> dict[str, Path]:
    """List the files of a Space that shows a model.

    Args:
        scratch: an existing folder for the files that are made.
        space: the Space, ``user/name``.
        model: the repository of the model that it loads.
        hardware: a name of the hub's; torch is built without CUDA for those that begin with "cpu".

    Returns:
        Path in the Space -> file.

    Raises:
        NotFoundError: Gradio is not installed, whose version the Space has to name.
    """
    try:
        gradio = metadata.version("gradio")
    except metadata.PackageNotFoundError as error:
        raise NotFoundError('a Space needs Gradio, which is not installed here: pip install "hfvae[app]"') from error
    builds = [CPU_BUILDS] if hardware.startswith("cpu") else []
    card = CARD.format(
        title=space.split("/")[-1],
        gradio=gradio,
        endpoint=constants.ENDPOINT,
        model=model,
        hardware=hardware,
        version=__version__,
    )
    made = {"README.md": card, "app.py": APP, "requirements.txt": "\n".join([*builds, *requirements(), ""])}
    for name, text in made.items():
        (scratch / name).write_text(text, encoding="utf-8")
    sent = {
        f"{PACKAGE.name}/{name}": path
        for name, path in package_files().items()
        if not any(name == part or name.startswith(f"{part}/") for part in NOT_IN_A_SPACE)
    }
    return sent | {name: scratch / name for name in made}


def package_files() -> dict[str, Path]:
    """Every file of the package by its path in it; the wheel has the same ones (package-data in pyproject.toml)."""
    paths = sorted(path for path in PACKAGE.rglob("*") if path.is_file())
    named = {path.relative_to(PACKAGE): path for path in paths}
    return {
        name.as_posix(): path
        for name, path in named.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    }


def requirements() -> list[str]:
    """What the app needs, as lines of a requirements.txt: a clone's own, or those of the installed package."""
    if CLONE is not None:
        lines = (CLONE / "requirements.txt").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("#")]
    declared = map(Requirement, metadata.requires(PACKAGE.name) or ())
    return [
        f"{found.name}{found.specifier}"
        for found in declared
        if found.marker is None or found.marker.evaluate({"extra": "app"})
    ]
