"""The files of a Space, made of a clone and of an installed package; journeys/test_space.py starts one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants
from support import REPOSITORY

from hfvae import hub
from hfvae.hub import space

APP_NEEDS = {"torch", "numpy", "huggingface_hub", "packaging", "safetensors", "Jinja2", "tqdm"}
APP_NEEDS |= {"typing_extensions", "gradio", "markdown-it-py", "pillow"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return hub.space_files(tmp_path, "user/demo", "user/name")


def test_it_has_what_the_app_needs_of_the_package(files: dict[str, Path]) -> None:
    ours = {name for name in files if name.startswith("hfvae/")}
    whole = {f"hfvae/{name}" for name in hub.package_files()}
    left_out = {name.split("/")[1].removesuffix(".py") for name in whole - ours} - {"cli", "evaluation"}
    assert left_out == {"pretrained", "training", "data", "export"}
    kinds = {Path(name).suffix for name in whole if "pretrained" not in name}
    assert {Path(name).suffix for name in ours} == kinds, "no kind of file stays behind"


def test_files_of_editors_and_secrets_are_no_part_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".env", ".git/config", "demo/.app.py.swp", "__pycache__/app.pyc", "demo/page.js"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(space, "PACKAGE", tmp_path)
    assert list(hub.package_files()) == ["demo/page.js"]


def test_its_card(files: dict[str, Path]) -> None:
    about = ModelCard.load(files["README.md"]).data.to_dict()
    assert (about["sdk"], about["app_file"], about["license"]) == ("gradio", "app.py", "mit")
    assert len(about["short_description"]) <= 60
    assert about["suggested_hardware"] == "cpu-basic"
    assert about["models"] == ["user/name"]
    assert about["thumbnail"] == f"{constants.ENDPOINT}/user/name/resolve/main/figures/samples.png"
    assert about["preload_from_hub"] == ["user/name config.json,model.safetensors,latents.safetensors"]
    assert re.fullmatch(r"6\.\d+\.\d+", about["sdk_version"])


def test_its_app_is_a_clones(files: dict[str, Path]) -> None:
    assert files["app.py"].read_text() == (REPOSITORY / "app.py").read_text()


@pytest.mark.parametrize(("hardware", "lines"), [("cpu-basic", [space.CPU_BUILDS]), ("zero-a10g", [])])
def test_torch_without_cuda_where_there_is_no_gpu(hardware: str, lines: list[str], tmp_path: Path) -> None:
    needed = hub.space_files(tmp_path, "user/demo", "user/name", hardware)["requirements.txt"].read_text().splitlines()
    assert [line for line in needed if line.startswith("-")] == lines


@pytest.mark.parametrize("installed", [False, True])
def test_requirements_of_a_clone_and_of_an_installed_package_are_the_same(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = ["torch<3,>=2.6", 'gradio<7,>=6.31; extra == "app"', 'lightning>=2.6; extra == "train"']
    if installed:
        monkeypatch.setattr(space, "CLONE", None)
        monkeypatch.setattr("importlib.metadata.requires", lambda name: declared)
    needed = space.requirements()
    names = {re.split(r"[<>=]", line)[0] for line in needed}
    assert names == ({"torch", "gradio"} if installed else APP_NEEDS)


def test_without_gradio_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise space.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(hub.NotFoundError, match=r'pip install "hfvae\[app\]"'):
        hub.space_files(tmp_path, "user/demo", "user/name")
