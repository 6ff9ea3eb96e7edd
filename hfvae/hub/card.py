"""The model card, README.md: facts about the model, its training and its metrics.

We update the parts between ``<!-- hfvae:NAME -->`` and ``<!-- /hfvae:NAME -->`` and our keys in the front matter;
everything else that an editor writes stays. A marked part that was deleted stays deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..datasets import IMPORTANCE_WEIGHTED, Dataset, Paper
from .download import ModelSource
from .errors import CardError
from .layout import BUNDLED, CARD, FIGURES, METRICS, TRAINING, atomic_write, display_name, read_json, read_text

CAPTIONS = {
    "reconstructions": "Test images above their reconstructions",
    "samples": "Decoded draws from the prior",
    "latents": "The codes of the test images by class",
    "traversals": "The most active latents, each moved by three standard deviations of the prior around its mean",
}
"""Captions of the figures by file name."""
_TEMPLATE = Path(__file__).with_name("card_template.md")
_TAGS = ["vae", "generative-model", "model_hub_mixin", "pytorch_model_hub_mixin"]


class CardDetails(NamedTuple):
    """Card entries from a class's keywords or from `model_card_kwargs`."""

    license: str = "mit"
    license_name: str | None = None
    license_link: str | None = None
    language: str | list[str] | None = None
    pipeline_tag: str = "unconditional-image-generation"
    tags: tuple[str, ...] = ()
    repo_url: str | None = None
    docs_url: str | None = None
    paper_url: str | None = None
    library_name: str = "hfvae"


class CardTemplate(NamedTuple):
    """A class's own card template."""

    text: str
    """Jinja, with the variables of `huggingface_hub.ModelCard.from_template` and the keywords of `render`."""
    values: Mapping[str, Any] = MappingProxyType({})
    """More variables."""


class ModelFacts(NamedTuple):
    """Facts about a model for its card."""

    model_class: str
    arguments: dict[str, Any]
    """Constructor arguments as JSON values."""
    latent_dim: int
    image_shape: tuple[int, int, int]
    likelihood_type: str
    prior: str
    """Display name, such as "N(0, I)"."""
    posterior_type: str
    dataset: Dataset
    limits: str
    """Caveats about its figures and images."""
    parameters: int
    """Number of weights, as the hub counts them."""
    papers: tuple[Paper, ...] = ()
    """Papers to cite."""
    details: CardDetails = CardDetails()
    """What the card says beside the model."""
    template: CardTemplate | None = None
    """Template for a new card; None is ours."""


def write_card(folder: Path, facts: ModelFacts, place: str | None = None, output: Path | None = None) -> None:
    """Write the model card from the other files of the folder, or update our parts of an existing card.

    Args:
        folder: a model folder.
        facts: facts about the model.
        place: name to load on the card; None uses a bundled model's name, else ``user/name``.
        output: file to write; None is the folder's card.

    Raises:
        CardError: the existing card cannot be read; it is not changed.
    """
    path = folder / CARD
    images = {name: folder / FIGURES / f"{name}.png" for name in CAPTIONS}
    try:
        text = render(
            display_name(folder),
            place or (folder.name if folder.resolve().parent == BUNDLED else "user/name"),
            facts,
            checksums=ModelSource(folder).checksums(),
            evaluation=read_json(folder / METRICS),
            training=read_json(folder / TRAINING),
            figures=[f"{FIGURES}/{name}.png" for name, image in images.items() if image.is_file()],
            current=read_text(path) if path.is_file() else None,
        )
    except ValueError as error:  # not UTF-8, or not YAML
        raise CardError(f"{path}: {error}. Correct it, or delete it to have it written anew") from error
    atomic_write(output or path, lambda temporary: temporary.write_text(str(text), encoding="utf-8"))


def render(
    name: str,
    place: str,
    facts: ModelFacts,
    *,
    checksums: Mapping[str, str],
    evaluation: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    figures: Sequence[str] = (),
    current: str | None = None,
) -> ModelCard:
    """Render a new card, or update our parts of `current`.

    Args:
        name: the card's title.
        place: argument for ``hfvae.load`` on the card.
        facts: facts about the model.
        checksums: SHA-256 of the tensor files, hexadecimal.
        evaluation: contents of metrics.json.
        training: contents of training.json.
        figures: paths of the figures, relative to the card, named as in `CAPTIONS`.
        current: the text of the existing card.

    Raises:
        ValueError: `current` or the class's template has front matter that is not YAML.
    """
    from jinja2 import Environment, StrictUndefined  # imported here because only writing cards needs it

    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters["figure"] = _figure
    environment.filters["cell"] = lambda text: text.replace("|", r"\|")  # a bar would end the cell
    environment.filters["article"] = lambda noun: f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    values = {
        "name": name,
        "place": place,
        "facts": facts,
        "checksums": checksums,
        "evaluation": evaluation,
        "metrics": (evaluation or {}).get("metrics"),
        "papers": (*facts.papers, *_papers_of_training(training)),
        "training": training,
        "figures": {path: CAPTIONS[Path(path).stem] for path in figures},
    }
    body = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(values)
    ours = _front_matter(name, facts, evaluation)
    if current is None and facts.template is not None:
        current = _fill_in(facts.template, ours, values, facts.details)
    if current is None:
        return ModelCard(f"---\n{ours.to_yaml()}\n---\n\n{body}")
    card = _parsed(current)
    for section, text in _sections(body).items():
        card.text = _section(section).sub(lambda _, text=text: text, card.text)  # type: ignore[misc]
    theirs = card.data.to_dict()
    tags = [*(theirs.get("tags") or []), *(ours.tags or [])]
    merged = {**ours.to_dict(), **theirs, "tags": list(dict.fromkeys(tags))}
    if evaluation is not None:
        [measured] = ours.to_dict()["model-index"]
        merged["model-index"] = [{**measured, "name": getattr(card.data, "model_name", None) or name}]
    card.data = ModelCardData(ignore_metadata_errors=True, **merged)
    return card


def _fill_in(template: CardTemplate, data: ModelCardData, values: Mapping[str, Any], details: CardDetails) -> str:
    """Render a class's own template as the stock mixin does."""
    urls = {"repo_url": details.repo_url, "docs_url": details.docs_url, "paper_url": details.paper_url}
    return str(ModelCard.from_template(data, template_str=template.text, **{**values, **urls, **template.values}))


def _papers_of_training(training: Mapping[str, Any] | None) -> tuple[Paper, ...]:
    weighted = training is not None and "importance_epochs" in training.get("recipe", "")
    return (IMPORTANCE_WEIGHTED,) if weighted else ()


def _front_matter(name: str, facts: ModelFacts, evaluation: Mapping[str, Any] | None) -> ModelCardData:
    results, dataset, details = None, facts.dataset, facts.details
    if evaluation is not None:
        results = [
            EvalResult(
                task_type="unconditional-image-generation",
                dataset_type=dataset.hub_id or dataset.name,
                dataset_name=dataset.name,
                dataset_split="test",
                metric_type=key,
                metric_name=f"{metric['name']} ({metric['unit']})" if metric["unit"] else metric["name"],
                metric_value=metric["value"],
            )
            for key, metric in evaluation["metrics"].items()
            if isinstance(metric["value"], int | float)
        ]
    tag = re.sub(r"[^a-z0-9]+", "-", dataset.name.lower())
    return ModelCardData(
        library_name=details.library_name,
        license=details.license,
        license_name=details.license_name,
        license_link=details.license_link,
        language=details.language,
        pipeline_tag=details.pipeline_tag,
        datasets=[dataset.hub_id] if dataset.hub_id else None,
        tags=list(dict.fromkeys([_TAGS[0], tag, *_TAGS[1:], *details.tags])),
        model_name=name if results else None,
        eval_results=results or None,
    )


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- hfvae:{name} -->.*?<!-- /hfvae:{name} -->", re.DOTALL)


def _sections(body: str) -> dict[str, str]:
    """Our marked parts, with their markers."""
    names = re.findall(r"<!-- hfvae:(\w+) -->", body)
    return {name: found.group() for name in names if (found := _section(name).search(body))}


def _figure(value: Any) -> str:
    """Format integers unchanged, other numbers with four decimals below 1, else with two."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def validate_card(text: str) -> ModelCard:
    """Parse a card and check that a hub would accept it.

    Raises:
        ValueError: no front matter, no licence, or front matter that is not YAML.
    """
    if not text.startswith("---\n"):
        raise ValueError("the card has no front matter (a block between two lines of ---)")
    card = _parsed(text)
    if not card.data.to_dict().get("license"):
        raise ValueError("the card names no license in its front matter")
    return card


def _parsed(text: str) -> ModelCard:
    try:
        return ModelCard(text)
    except Exception as error:  # errors of PyYAML and of the card parser
        raise ValueError(f"the card's front matter cannot be read: {error}") from error
