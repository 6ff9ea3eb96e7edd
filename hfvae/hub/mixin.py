"""The hub's side of a model: save, load, push. Knows no model class; `VAE` derives from `HubMixin`.

huggingface_hub's own `from_pretrained` ignores HTTP errors, loads weights loosely and reads pickles; this one does none
of these.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from typing_extensions import Self

from ..datasets import TrainingData
from .card import CAPTIONS, ModelFacts
from .download import ModelSource
from .errors import ConfigError, NotFoundError, WeightsError
from .layout import FIGURES, FILES
from .loading import load_checkpoint, load_model, save_model
from .publish import full_repo_id, prepare, push


class HubMixin(PyTorchModelHubMixin):
    """What makes a torch module a model on a hub.

    The class that derives from it directly is the root of the known model classes.

    Attributes:
        training_record: the data set and treatment of pixels that the model was trained on; None if unknown.
    """

    training_record: TrainingData | None

    def facts(self) -> ModelFacts:
        """What a model card says of the model itself."""
        raise NotImplementedError

    @property
    def config(self) -> dict[str, Any]:
        """The constructor call as plain JSON values: ``type(vae)(**vae.config)`` builds the same architecture."""
        given: dict[str, Any] = self._hub_mixin_config  # type: ignore[assignment]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        weights_dtype: torch.dtype | None = None,
        **push_options: Any,
    ) -> str | None:
        """Write weights, config and, where there is none yet, a card into a folder, made if missing.

        Args:
            save_directory: the folder; each file in it is replaced atomically.
            push_to_hub: push it as well, with `push_options` as for `push_to_hub`.
            repo_id: where to; None takes the folder's name.
            weights_dtype: what the weights are stored in; None is what they are.

        Returns:
            The repository's address after a push, else None.
        """
        save_model(Path(save_directory), self, weights_dtype)
        return self.push_to_hub(repo_id or Path(save_directory).name, **push_options) if push_to_hub else None

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        folder: str | Path | None = None,
        private: bool | None = None,
        revision: str | None = None,
        tag: str | None = None,
        token: str | bool | None = None,
        commit_message: str = "Publish with hfvae",
    ) -> str:
        """Publish the model in one commit.

        Args:
            repo_id: ``user/name``, or a bare name for one of the logged-in user's; the repository is made if missing.
            folder: the folder of this model that `train/evaluate.py` filled, to be sent with its metrics, figures and
                codes. None keeps these where the repository holds this very model, and else sends weights, config and
                a card that says the model was not evaluated.
            private: True or False must match an existing repository.
            revision: branch to commit to, made if missing; None is main.
            tag: tag to put on the commit.
            token: None takes the one of ``hf auth login`` or ``$HF_TOKEN``.
            commit_message: the commit's title.

        Returns:
            The repository's address.

        Raises:
            HubError: the folder is not fit to be published (nothing was sent), or the hub refused.
        """
        repo_id = full_repo_id(repo_id, token)
        options: dict[str, Any] = {"revision": revision, "token": token}
        with model_files(self, repo_id, None if folder is None else Path(folder), **options) as files:
            options |= {"private": private, "tag": tag}
            return push(files, repo_id, message=commit_message, **options)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Load config and weights, strictly, in eval mode, from a folder or a hub repository.

        Args:
            pretrained_model_name_or_path: a folder written by `save_pretrained`, or a repo id ``user/name``.
            revision: branch, tag or commit of the repository.
            token, cache_dir, force_download, local_files_only: as for ``huggingface_hub.hf_hub_download``.
            device: where the model shall be.

        Returns:
            The model. Called on ``VAE`` itself, the class is the one that config.json names.

        Raises:
            HubError: no such model, no access, no network, a config or weights that do not fit; says what to do.
        """
        source = ModelSource(
            pretrained_model_name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
        return load_model(source, cls, known_classes()).to(device).eval()

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load the model out of a checkpoint that `train/fit.py` wrote, strictly, in eval mode; nothing is unpickled.

        Raises:
            HubError: no such file, not a checkpoint of this project, or one of another class.
        """
        return load_checkpoint(path, cls, known_classes()).to(device).eval()


def known_classes() -> dict[str, type[HubMixin]]:
    """The model classes that a config may name: all below the one that derives from `HubMixin` directly."""
    return {kind.__name__: kind for root in HubMixin.__subclasses__() for kind in _subclasses(root)}


def _subclasses(cls: type[HubMixin]) -> list[type[HubMixin]]:
    children: list[type[HubMixin]] = cls.__subclasses__()
    return [kind for child in children for kind in (child, *_subclasses(child))]


@contextmanager
def model_files(
    model: HubMixin,
    repo_id: str,
    folder: Path | None = None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Iterator[dict[str, Path]]:
    """The files that a push of `model` to `repo_id` sends, checked; copies of those that a push changes are temporary.

    Args:
        model: the model.
        repo_id: what the card will tell people to load.
        folder: the evaluated folder of this very model; None sends what the repository holds of this very model, else
            weights, config and a card without figures.
        revision, token: of the repository.

    Raises:
        HubError: the folder holds another model, or is not fit to be published.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = folder or Path(scratch) / repo_id.split("/")[-1]
        if folder is None:
            if not _fetch_same(model, repo_id, source, revision=revision, token=token):
                save_model(source, model)
        else:
            _require_same(model, folder)
        yield prepare(source, repo_id, model.facts(), Path(scratch), evaluated=folder is not None)


def _fetch_same(model: Any, repo_id: str, folder: Path, **options: Any) -> bool:
    """Whether a repository holds this very model; if so, copy its files into `folder`."""
    try:
        source = ModelSource(repo_id, **options)
        if source.folder is not None or not _same(load_model(source, type(model), known_classes()), model):
            return False
    except (NotFoundError, ConfigError, WeightsError):
        return False  # no repository, or none of this model
    folder.mkdir()
    for name in (*FILES, *(f"{FIGURES}/{caption}.png" for caption in CAPTIONS)):
        with suppress(NotFoundError):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(source.path(name, None), path)
    return True


def _same(theirs: Any, ours: Any) -> bool:
    """Whether two models have one config and the same weights."""
    state = ours.state_dict()
    same = all(torch.equal(state[name].cpu(), value) for name, value in theirs.state_dict().items())
    return theirs.config == ours.config and same


def _require_same(model: Any, folder: Path) -> None:
    """Refuse a folder that holds another model than this one."""
    if not _same(type(model).from_pretrained(folder), model):
        raise WeightsError(f"{folder} holds another model than this one: save it there and evaluate it first")
