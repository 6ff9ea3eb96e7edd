"""Save, load and push a model. Knows no model class; `VAE` derives from `HubMixin`.

Unlike huggingface_hub's own `from_pretrained`, this one reports HTTP errors, loads strictly and reads no pickles.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import CommitInfo, ModelCard, PyTorchModelHubMixin
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from typing_extensions import Self

from ..datasets import TrainingData
from .card import CardDetails, CardTemplate, ModelFacts, render
from .classes import unsaved_arguments, validate_class
from .contents import add_card, described, model_files
from .download import ModelSource
from .loading import build, load_checkpoint, load_model, load_weights, save_model
from .publish import full_repo_id, push


class HubMixin(PyTorchModelHubMixin):
    """A torch module that can be saved to, loaded from and pushed to a hub.

    The class that derives from it directly is the root of all known model classes.

    Attributes:
        training_record: data set and pixel preprocessing of the training; None if unknown.
        card_template: template from the class keyword ``model_card_template=``; None is ours.
        unsaved_arguments: constructor arguments that config.json cannot store; such a model cannot be saved.
    """

    training_record: TrainingData | None
    card_template: CardTemplate | None = None
    unsaved_arguments: Sequence[str] = ()

    def __init_subclass__(
        cls,
        *,
        model_card_template: str | None = None,
        coders: Mapping[type, Any] | None = None,
        tags: Sequence[str] = (),
        **card_keywords: Any,
    ) -> None:
        """Accept the class keywords of the stock mixin.

        Raises:
            TypeError: `coders`, or a class that could not be loaded.
        """
        if coders:
            raise TypeError(
                f"class {cls.__name__}: coders= is not supported, because config.json stores the constructor call: "
                "accept JSON values in __init__ and convert them there"
            )
        super().__init_subclass__(tags=[*tags], **card_keywords)
        if HubMixin not in cls.__bases__:
            validate_class(cls, _roots())
        if model_card_template is not None:
            cls.card_template = CardTemplate(model_card_template)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the constructor arguments, as the stock mixin does, and those that it left out."""
        model = super().__new__(cls, *args, **kwargs)
        model.unsaved_arguments = unsaved_arguments(cls, args, kwargs, model.config)
        return model

    def facts(self) -> ModelFacts:
        """Facts about the model for its card."""
        raise NotImplementedError

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments as JSON values: ``type(vae)(**vae.config)`` builds the same architecture."""
        given: dict[str, Any] = self._hub_mixin_config or {}  # type: ignore[assignment]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    @property
    def card_details(self) -> CardDetails:
        """Card entries from the class keywords (``license=``, ``tags=``, ``repo_url=``, ...)."""
        info = self._hub_mixin_info
        said = info.model_card_data.to_dict()
        kept: dict[str, Any] = {name: said[name] for name in CardDetails._fields if said.get(name) is not None}
        urls = {"repo_url": info.repo_url, "docs_url": info.docs_url, "paper_url": info.paper_url}
        return CardDetails(**{**kept, **urls, "tags": tuple(said.get("tags") or ())})

    def generate_model_card(self, *, name: str | None = None, **model_card_kwargs: Any) -> ModelCard:
        """A card without metrics; `save_pretrained` writes it if there is no card yet.

        Args:
            name: title of the card; None is the class name.
            model_card_kwargs: card entries by the names of `hfvae.hub.CardDetails`; a class with its own template may
                accept more.
        """
        return render(name or type(self).__name__, "user/name", described(self, model_card_kwargs), checksums={})

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
    ) -> CommitInfo | None:
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
            The commit after a push, else None.

        Raises:
            TypeError: an unknown keyword, by name.
        """
        known = inspect.signature(HubMixin.push_to_hub).parameters if push_to_hub else {}
        for name in push_options:
            if name not in known:
                raise TypeError(f"save_pretrained() got an unexpected keyword argument {name!r}")
        saved = self._with(config)
        described(saved, model_card_kwargs)  # refuses unknown names before anything is written
        save_model(Path(save_directory), saved, weights_dtype)
        add_card(Path(save_directory), saved, model_card_kwargs)
        if not push_to_hub:
            return None
        options = {"config": config, "model_card_kwargs": model_card_kwargs, **push_options}
        return self.push_to_hub(repo_id or Path(save_directory).name, **options)

    def _with(self, config: Mapping[str, Any] | None) -> Any:
        """This model, or one with its weights and other constructor arguments."""
        if not config:
            return self
        if not isinstance(config, Mapping):
            raise TypeError(f"config must be a dict of constructor arguments, got {type(config).__name__}")
        other = build(type(self), {**self.config, **config}, "config")
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
    ) -> CommitInfo:
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
            The commit, a `huggingface_hub.CommitInfo`: as text its address, `pr_url` is that of the pull request.

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
        with model_files(pushed, repo_id, source, model_card_kwargs=model_card_kwargs, **options) as files:
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
        return load_model(source, cls, _roots(), overrides).to(device).eval()

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load the model out of a checkpoint that `train/fit.py` wrote, strictly, in eval mode; nothing is unpickled.

        Raises:
            HubError: no such file, not a checkpoint of this project, or one of another class.
        """
        return load_checkpoint(path, cls, _roots()).to(device).eval()


def _roots() -> list[type]:
    """The classes below which all model classes are: those that derive from `HubMixin` directly."""
    return [*HubMixin.__subclasses__()]
