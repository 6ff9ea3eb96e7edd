"""The hub's side of a model: save, load, push. Knows no model class; `VAE` derives from `HubMixin`.

huggingface_hub's own `from_pretrained` ignores HTTP errors, loads weights loosely and reads pickles; this one does none
of these.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from typing_extensions import Self

from ..datasets import TrainingData
from .card import CAPTIONS, CardDetails, ModelFacts, write_card
from .download import ModelSource
from .errors import ConfigError, NotFoundError, WeightsError
from .layout import CARD, EXPORTS, FIGURES, FILES
from .loading import build, load_checkpoint, load_model, load_weights, save_model
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

    @property
    def card_details(self) -> CardDetails:
        """What the keywords of the class (``license=``, ``tags=``, ``repo_url=``, ...) put on its models' cards."""
        info = self._hub_mixin_info
        said = info.model_card_data.to_dict()
        kept: dict[str, Any] = {name: said[name] for name in CardDetails._fields if said.get(name) is not None}
        urls = {"repo_url": info.repo_url, "docs_url": info.docs_url, "paper_url": info.paper_url}
        return CardDetails(**{**kept, **urls, "tags": tuple(said.get("tags") or ())})

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        config: dict[str, Any] | None = None,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
        weights_dtype: torch.dtype | None = None,
        **push_options: Any,
    ) -> str | None:
        """Write weights, config and, where there is none yet, a card into a folder, made if missing.

        Args:
            save_directory: the folder; each file in it is replaced atomically.
            config: constructor arguments to write instead of the model's own, such as ``{"beta": 2.0}``; the weights
                must fit the model that they make.
            push_to_hub: push it as well, with `push_options` as for `push_to_hub`.
            repo_id: where to; None takes the folder's name.
            model_card_kwargs: what the card says beside the model, by the names of `hfvae.hub.CardDetails`.
            weights_dtype: what the weights are stored in; None is what they are.

        Returns:
            The repository's address after a push, else None.

        Raises:
            TypeError: an unknown keyword, by name.
        """
        known = inspect.signature(HubMixin.push_to_hub).parameters if push_to_hub else {}
        for name in push_options:
            if name not in known:
                raise TypeError(f"save_pretrained() got an unexpected keyword argument {name!r}")
        saved = self._with(config)
        save_model(Path(save_directory), saved, described(saved, model_card_kwargs), weights_dtype)
        if not push_to_hub:
            return None
        options = {"config": config, "model_card_kwargs": model_card_kwargs, **push_options}
        return self.push_to_hub(repo_id or Path(save_directory).name, **options)

    def _with(self, config: Mapping[str, Any] | None) -> Any:
        """This model, or one with its weights and other constructor arguments."""
        if not config:
            return self
        other = build(type(self), known_classes(), type(self).__name__, {**self.config, **config}, "config")
        load_weights(other, cast(torch.nn.Module, self).state_dict(), "config")
        other.training_record = self.training_record
        return other

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        config: dict[str, Any] | None = None,
        commit_message: str = "Publish with hfvae",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool = False,
        allow_patterns: str | list[str] | None = None,
        ignore_patterns: str | list[str] | None = None,
        delete_patterns: str | list[str] | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
        folder: str | Path | None = None,
        revision: str | None = None,
        tag: str | None = None,
    ) -> str:
        """Publish the model in one commit.

        Args:
            repo_id: ``user/name``, or a bare name for one of the logged-in user's; the repository is made if missing.
            folder: the folder of this model that `train/evaluate.py` filled, to be sent with its metrics, figures and
                codes. None keeps these where the repository holds this very model, and else sends weights, config and
                a card that says the model was not evaluated.
            config, model_card_kwargs: as for `save_pretrained`.
            commit_message: the commit's title.
            private: True or False must match an existing repository.
            token: None takes the one of ``hf auth login`` or ``$HF_TOKEN``.
            branch, revision: the branch to commit to, made if missing; None is main. Two names for one thing.
            create_pr: open a pull request against the branch instead of committing to it.
            allow_patterns, ignore_patterns: send only files whose paths match one of these, and none of those.
            delete_patterns: delete files of the repository that match, but for those sent.
            tag: tag to put on the commit.

        Returns:
            The repository's address, or that of the pull request.

        Raises:
            HubError: the folder is not fit to be published (nothing was sent), or the hub refused.
            ValueError: arguments that contradict each other.
        """
        if branch is not None and revision not in (None, branch):
            raise ValueError(f"branch {branch!r} and revision {revision!r} are two names for one thing: give one")
        if create_pr and tag is not None:
            raise ValueError("a pull request has no commit to tag yet: leave tag out, and tag it once it is merged")
        repo_id = full_repo_id(repo_id, token)
        options: dict[str, Any] = {"revision": revision or branch, "token": token}
        pushed, source = self._with(config), None if folder is None else Path(folder)
        with model_files(pushed, repo_id, source, facts=described(pushed, model_card_kwargs), **options) as files:
            sent = filter_repo_objects(files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns)
            options |= {"private": private, "tag": tag, "create_pr": create_pr, "delete_patterns": delete_patterns}
            return push({name: files[name] for name in sent}, repo_id, message=commit_message, **options)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
        **overrides: Any,
    ) -> Self:
        """Load config and weights, strictly, in eval mode, from a folder or a hub repository.

        Args:
            pretrained_model_name_or_path: a folder written by `save_pretrained`, or a repo id ``user/name``.
            revision: branch, tag or commit of the repository.
            token, cache_dir, force_download, local_files_only: as for ``huggingface_hub.hf_hub_download``.
            device: where the model shall be.
            overrides: constructor arguments instead of those of config.json, such as ``beta=2.0``; the weights must fit
                the model that they make.

        Returns:
            The model. Called on ``VAE`` itself, the class is the one that config.json names.

        Raises:
            HubError: no such model, no access, no network, a config or weights that do not fit; says what to do.
            TypeError: an override that the model's constructor does not know, by name.
        """
        source = ModelSource(
            pretrained_model_name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
        return load_model(source, cls, known_classes(), overrides).to(device).eval()

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load the model out of a checkpoint that `train/fit.py` wrote, strictly, in eval mode; nothing is unpickled.

        Raises:
            HubError: no such file, not a checkpoint of this project, or one of another class.
        """
        return load_checkpoint(path, cls, known_classes()).to(device).eval()


def described(model: HubMixin, changes: Mapping[str, Any] | None) -> ModelFacts:
    """What a card says of a model, with changes by the names of `CardDetails`.

    Raises:
        TypeError: an unknown name.
    """
    for name in changes or {}:
        if name not in CardDetails._fields:
            raise TypeError(f"model_card_kwargs has no {name!r}; it may have {', '.join(CardDetails._fields)}")
    details, changed = model.card_details, dict(changes or {})
    if "tags" in changed:
        changed["tags"] = (*details.tags, *changed["tags"])
    return model.facts()._replace(details=details._replace(**changed))


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
    facts: ModelFacts | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Iterator[dict[str, Path]]:
    """The files that a push of `model` to `repo_id` sends, checked; copies of those that a push changes are temporary.

    Args:
        model: the model.
        repo_id: what the card will tell people to load.
        folder: the evaluated folder of this very model; None sends what the repository holds of this very model, else
            weights, config and a card without figures.
        facts: what the card says of the model; None is `model.facts()`.
        revision, token: of the repository.

    Raises:
        HubError: the folder holds another model, or is not fit to be published.
    """
    facts = facts or model.facts()
    with tempfile.TemporaryDirectory() as scratch:
        source = folder or Path(scratch) / repo_id.split("/")[-1]
        if folder is None:
            if not _fetch_same(model, repo_id, source, revision=revision, token=token):
                save_model(source, model, facts)
            elif not (source / CARD).exists():
                write_card(source, facts)
        else:
            _require_same(model, folder)
        yield prepare(source, repo_id, facts, Path(scratch), evaluated=folder is not None)


def _fetch_same(model: Any, repo_id: str, folder: Path, **options: Any) -> bool:
    """Whether a repository holds this very model; if so, copy its files into `folder`."""
    try:
        source = ModelSource(repo_id, **options)
        if source.folder is not None or not _same(load_model(source, type(model), known_classes()), model):
            return False
    except (NotFoundError, ConfigError, WeightsError):
        return False  # no repository, or none of this model
    folder.mkdir()
    for name in (*FILES, *EXPORTS, *(f"{FIGURES}/{caption}.png" for caption in CAPTIONS)):
        with suppress(NotFoundError):
            fetched, path = source.path(name, None), folder / name
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(fetched, path)
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
