"""The model card: README.md from a model's config, how it was trained and what was measured.

A card belongs to whoever edits it. Ours are the parts between ``<!-- hfvae:NAME -->`` and ``<!-- /hfvae:NAME -->`` and,
in the front matter, the keys we set; everything else stays as it is found. A marked part that was deleted stays away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

FIGURES = {
    "reconstructions": "Test digits above their reconstructions",
    "samples": "Decoded draws from the prior",
    "latents": "The test set's latent means by class",
    "traversals": "The most active latents, each moved from -3 to 3 with the others at 0",
}
_TEMPLATE = """
# {{ name }}

<!-- hfvae:summary -->
A variational autoencoder for MNIST: {{ model_class }}, {{ config.latent_dim }} latents, {{ config.likelihood_type }}
likelihood, made with hfvae.

```python
import hfvae

vae = hfvae.load("{{ place }}")
images = hfvae.generate(vae, 25)  # (25, 1, 28, 28) in [0, 1]
```

In the app: `python app.py --model {{ place }}`

| argument | value |
|---|---|
{% for key, value in config.items() -%}
| `{{ key }}` | `{{ value | tojson }}` |
{% endfor %}
| file | SHA-256 |
|---|---|
{% for file, checksum in checksums.items() -%}
| {{ file }} | `{{ checksum }}` |
{% endfor -%}
<!-- /hfvae:summary -->

## Results

<!-- hfvae:results -->
{% if metrics -%}
| metric | value | protocol |
|---|---|---|
{% for metric in metrics.values() if not metric.value is iterable -%}
| {{ metric.name }} | {{ metric.value | figure }} {{ metric.unit }} | {{ metric.protocol | cell }} |
{% endfor %}
Measured with `{{ evaluation.command }}` (hfvae {{ evaluation.versions.hfvae }}, torch {{ evaluation.versions.torch }}).
{% else -%}
Not evaluated yet: `python train/evaluate.py --model DIR` measures it and fills this in.
{% endif -%}
<!-- /hfvae:results -->

<!-- hfvae:figures -->
{% for path, caption in figures.items() -%}
![{{ caption }}]({{ path }})

*{{ caption }}*

{% endfor -%}
<!-- /hfvae:figures -->

## Training

<!-- hfvae:training -->
{% if training -%}
Trained on the 50,000 training images of MNIST for {{ training.epochs }} epochs in {{ training.minutes }} minutes
({{ training.device }}, {{ training.precision }}); the weights are those of the best validation bound.
{%- if training.commit is defined and training.commit %} Code: commit {{ training.commit }}.{% endif %}

```
{{ training.command }}
```

```yaml
{{ training.recipe }}
```
{% else -%}
Not trained by `train/fit.py`, or its record is missing.
{% endif -%}
<!-- /hfvae:training -->

## Limits

<!-- hfvae:limits -->
{% if config.likelihood_type == "ContinuousBernoulli" -%}
The density is that of dequantised pixels, (k + u) / 256, with lambda kept in [1e-4, 1 - 1e-4]. Its figures depend on
both, and cannot be compared with those of Bernoulli models. Pictures show lambda, not the mean.
{% elif config.likelihood_type == "Bernoulli" -%}
The likelihood is that of dynamically binarised pixels. Its figures cannot be compared with those of statically
binarised or continuous data.
{% else -%}
The density is that of dequantised pixels, (k + u) / 256. Pictures show the location parameter, clamped to [0, 1].
{% endif -%}
The model has seen centred 28x28 digits and nothing else. A drawing has to be framed as MNIST's digits were
(`hfvae.sketch`), and whatever else it is shown, it will answer with something like a digit.
<!-- /hfvae:limits -->
"""
_TAGS = ["vae", "mnist", "generative-model", "model_hub_mixin", "pytorch_model_hub_mixin"]


def render(
    name: str,
    place: str,
    model_class: str,
    config: Mapping[str, Any],
    *,
    checksums: Mapping[str, str],
    evaluation: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    figures: Sequence[str] = (),
    current: str | None = None,
) -> ModelCard:
    """The card, or `current` with our parts brought up to date.

    Args:
        name: the card's title.
        place: what to hand to ``hfvae.load``.
        model_class, config: as in config.json.
        checksums: SHA-256 of the tensor files, hexadecimal.
        evaluation: contents of metrics.json.
        training: contents of training.json.
        figures: paths of the figures, relative to the card, named as in `FIGURES`.
        current: the text of the card as it is.

    Raises:
        ValueError: `current` has front matter that is no YAML.
    """
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters["figure"] = _figure
    environment.filters["cell"] = lambda text: text.replace("|", r"\|")  # a bar would end the table's cell
    body = environment.from_string(_TEMPLATE).render(
        name=name,
        place=place,
        model_class=model_class,
        config=config,
        checksums=checksums,
        evaluation=evaluation,
        metrics=(evaluation or {}).get("metrics"),
        training=training,
        figures={path: FIGURES[path.rsplit("/", 1)[-1].split(".")[0]] for path in figures},
    )
    ours = _front_matter(name, evaluation)
    if current is None:
        return ModelCard(f"---\n{ours.to_yaml()}\n---\n{body}")
    card = _parsed(current)
    for section, text in _sections(body).items():
        card.text = _section(section).sub(lambda _, text=text: text, card.text)  # type: ignore[misc]
    theirs = card.data.to_dict()
    tags = [*(theirs.get("tags") or []), *_TAGS]
    merged = {**ours.to_dict(), **theirs, "tags": list(dict.fromkeys(tags))}
    if evaluation is not None:
        merged["model-index"] = ours.to_dict()["model-index"]
    card.data = ModelCardData(ignore_metadata_errors=True, **merged)
    return card


def _front_matter(name: str, evaluation: Mapping[str, Any] | None) -> ModelCardData:
    results = None
    if evaluation is not None:
        results = [
            EvalResult(
                task_type="unconditional-image-generation",
                dataset_type="ylecun/mnist",
                dataset_name="MNIST",
                dataset_split="test",
                metric_type=key,
                metric_name=f"{metric['name']} ({metric['unit']})" if metric["unit"] else metric["name"],
                metric_value=metric["value"],
            )
            for key, metric in evaluation["metrics"].items()
            if isinstance(metric["value"], int | float)
        ]
    return ModelCardData(
        library_name="hfvae",
        license="mit",
        pipeline_tag="unconditional-image-generation",
        datasets=["ylecun/mnist"],
        tags=list(_TAGS),
        model_name=name if results else None,
        eval_results=results,
    )


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- hfvae:{name} -->.*?<!-- /hfvae:{name} -->", re.DOTALL)


def _sections(body: str) -> dict[str, str]:
    """Our marked parts, markers included."""
    names = re.findall(r"<!-- hfvae:(\w+) -->", body)
    return {name: found.group() for name in names if (found := _section(name).search(body))}


def _figure(value: Any) -> str:
    """Counts as they are, other numbers with four decimals below 1 and two from there on."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def checked(text: str) -> ModelCard:
    """The card, if a hub would take it.

    Raises:
        ValueError: no front matter, no licence, or front matter that is no YAML.
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
    except Exception as error:  # PyYAML's and the card parser's own families
        raise ValueError(f"the card's front matter cannot be read: {error}") from error
