"""The files of a model that a push sends, and the card among them. Knows no model class."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from .card import CAPTIONS, CardDetails, ModelFacts, write_card
from .download import ModelSource
from .errors import ConfigError, NotFoundError, WeightsError
from .layout import CARD, EXPORTS, FIGURES, FILES, atomic_write, display_name
from .loading import save_model
from .publish import prepare


def described(model: Any, changes: Mapping[str, Any] | None) -> ModelFacts:
    """What a card says of a model, with changes by the names of `CardDetails` or, beyond these, for its own template.

    Raises:
        TypeError: an unknown name, and no template that could take it.
    """
    facts, details = model.facts(), model.card_details
    changed = {name: value for name, value in (changes or {}).items() if name in CardDetails._fields}
    others = {name: value for name, value in (changes or {}).items() if name not in changed}
    if "tags" in changed:
        changed["tags"] = (*details.tags, *changed["tags"])
    if others and facts.template is None:
        raise TypeError(
            f"model_card_kwargs has no {next(iter(others))!r}; it may have {', '.join(CardDetails._fields)}"
        )
    template = facts.template and facts.template._replace(values=others)
    return facts._replace(details=details._replace(**changed), template=template)


def add_card(folder: Path, model: Any, model_card_kwargs: Mapping[str, Any] | None) -> None:
    """Write a card where there is none yet; a class may have a `generate_model_card` of its own."""
    if not (folder / CARD).exists():
        card = model.generate_model_card(name=display_name(folder), **(model_card_kwargs or {}))
        atomic_write(folder / CARD, lambda temporary: temporary.write_text(str(card), encoding="utf-8"))
        write_card(folder, described(model, model_card_kwargs))


@contextmanager
def model_files(
    model: Any,
    repo_id: str,
    folder: Path | None = None,
    *,
    model_card_kwargs: Mapping[str, Any] | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Iterator[dict[str, Path]]:
    """The files that a push of `model` to `repo_id` sends, checked; copies of those that a push changes are temporary.

    Args:
        model: the model.
        repo_id: what the card will tell people to load.
        folder: the evaluated folder of this very model; None sends what the repository holds of this very model, else
            weights, config and a card without figures.
        model_card_kwargs: what the card says beside the model.
        revision, token: of the repository.

    Raises:
        HubError: the folder holds another model, or is not fit to be published.
    """
    facts = described(model, model_card_kwargs)
    with tempfile.TemporaryDirectory() as scratch:
        source = folder or Path(scratch) / repo_id.split("/")[-1]
        if folder is None:
            if not _fetch_same(model, repo_id, source, revision=revision, token=token):
                save_model(source, model)
            add_card(source, model, model_card_kwargs)
        else:
            _require_same(model, folder)
        yield prepare(source, repo_id, facts, Path(scratch), evaluated=folder is not None)


def _fetch_same(model: Any, repo_id: str, folder: Path, **options: Any) -> bool:
    """Whether a repository holds this very model; if so, copy its files into `folder`."""
    try:
        source = ModelSource(repo_id, **options)
        if source.folder is not None or not _same(type(model).from_pretrained(repo_id, **options), model):
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
