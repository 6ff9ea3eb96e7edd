"""Every figure of a model's evaluation, as metrics.json holds it: name, value, unit, standard error and protocol."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..data import MNISTDataModule
from ..inference import generate
from ..models import VAE, ELBOTerms
from ..probability.likelihoods import Likelihood
from . import classifier
from .bounds import image_nll, rate_is_exact, reconstruction_errors
from .codes import ACTIVE_VARIANCE, Encoded, active_units, encode_dataset, knn_accuracy, linear_probe_accuracy
from .quadrature import MAX_LATENTS, NotConverged, quadrature_nll
from .samples import CLEAR, clear_draws, frechet_distance, inception_terms, precision_and_recall

NEIGHBOURS = 15
SAMPLES, BATCH = 10_000, 500
NATS = "nats per image"
Metric = dict[str, Any]


def measure(
    vae: VAE,
    data: MNISTDataModule,
    test: Encoded,
    terms: ELBOTerms,
    *,
    samples: int,
    halved: bool,
    seed: int,
) -> dict[str, Metric]:
    """All figures of a model; one that this model does not have is None, with the reason as its protocol.

    Args:
        vae: the model.
        data: the data that it is measured on, set up.
        test: the test images as the model encodes them.
        terms: the bounds of the test images.
        samples: importance samples an image.
        halved: whether the networks compute in bfloat16 under importance samples.
        seed: of all draws.
    """
    loader = data.test_dataloader()
    images, pixels = f"{len(test.labels):,} test images", data.record.pixels.protocol
    likelihood = ", ".join(part for part in (images, pixels, vae.likelihood.protocol, f"seed {seed}") if part)
    codes = f"posterior means of {images} ({pixels})"
    one_draw = f"{likelihood}, one posterior draw an image"
    exact = rate_is_exact(vae, next(iter(loader))[0])
    rate = f"KL(q(z|x) || p(z)) in closed form; {likelihood}" if exact else f"log q(z|x) - log p(z); {one_draw}"
    weighted = f"{likelihood}, importance-weighted, {samples} samples an image"
    with torch.autocast(vae.device.type, torch.bfloat16, enabled=halved):
        nll = image_nll(vae, loader, samples, seed)

    return {
        "elbo": mean("ELBO", terms.elbo, NATS, one_draw),
        "rate": mean("Rate", terms.rate, NATS, rate),
        "distortion": mean("Distortion", terms.distortion, NATS, one_draw),
        "nll": mean("NLL", nll, NATS, weighted + (", networks in bfloat16" if halved else "")),
        **measure_integral(vae, data, likelihood),
        "active_units": metric(
            "Active units",
            int(active_units(test.codes).sum()),
            f"of {vae.latent_dim}",
            f"variance of the mean above {ACTIVE_VARIANCE}; {codes}",
        ),
        "latent_kl": metric(
            "KL of each latent",
            None if test.latent_kl is None else test.latent_kl.tolist(),
            NATS,
            codes if test.latent_kl is not None else "posterior or prior do not factorise over the latents",
        ),
        **measure_classes(vae, data, test, codes),
        **measure_draws(vae, data, seed),
        "reconstruction_mse": mean(
            "Reconstruction error",
            reconstruction_errors(vae, loader),
            "mean squared, a pixel",
            f"decoded image of the posterior mean against {images} ({pixels})",
        ),
    }


def metric(
    name: str, value: float | list[float] | None, unit: str, protocol: str, standard_error: float | None = None
) -> Metric:
    """An entry of metrics.json."""
    known = {} if standard_error is None else {"standard_error": standard_error}
    return {"name": name, "value": value, **known, "unit": unit, "protocol": protocol}


def mean(name: str, values: Tensor, unit: str, protocol: str) -> Metric:
    """The mean of values (N,), with its standard error."""
    return metric(name, values.mean().item(), unit, protocol, standard_error(values))


def share(name: str, value: float, count: int, protocol: str) -> Metric:
    """A proportion of `count` cases, with its standard error as if the cases were independent."""
    return metric(name, value, "", protocol, math.sqrt(value * (1 - value) / count))


def standard_error(values: Tensor) -> float | None:
    """Of the mean of values (N,); None for a single one."""
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None


def measure_integral(vae: VAE, data: MNISTDataModule, likelihood: str) -> dict[str, Metric]:
    """The exact NLL of a model with one or two latents, or nothing."""
    if vae.latent_dim > MAX_LATENTS:
        return {}
    name = "NLL by quadrature"
    if type(vae.likelihood).log_prob_table is Likelihood.log_prob_table:  # it would take hours
        return {"quadrature_nll": metric(name, None, NATS, f"{vae.likelihood} has no log_prob_table of its own")}
    x = torch.cat([x for x, _ in data.test_dataloader()])
    try:
        nll, points = quadrature_nll(vae, x.to(vae.device))
    except NotConverged as error:
        return {"quadrature_nll": metric(name, None, NATS, str(error))}
    grid = " x ".join([str(points)] * vae.latent_dim)
    return {"quadrature_nll": mean(name, nll, NATS, f"{likelihood}; p(x|z) p(z) summed over up to {grid} points")}


def measure_classes(vae: VAE, data: MNISTDataModule, test: Encoded, codes: str) -> dict[str, Metric]:
    """How well the classes can be told from the codes."""
    train = encode_dataset(vae, data.plain_train_dataloader())
    count, judged = len(train.labels), len(test.labels)
    names = {"knn_accuracy": f"{NEIGHBOURS}-NN accuracy", "probe_accuracy": "Linear-probe accuracy"}
    if len(train.labels.unique()) < 2 or count < NEIGHBOURS:
        reason = f"{count:,} training images of {len(train.labels.unique())} classes do not suffice"
        return {key: metric(name, None, "", reason) for key, name in names.items()}
    return {
        "knn_accuracy": share(
            names["knn_accuracy"],
            knn_accuracy(train, test, NEIGHBOURS),
            judged,
            f"{codes}, {count:,} training codes as neighbours",
        ),
        "probe_accuracy": share(
            names["probe_accuracy"],
            linear_probe_accuracy(train, test),
            judged,
            f"logistic regression on {count:,} standardised training codes; {codes}",
        ),
    }


def measure_draws(vae: VAE, data: MNISTDataModule, seed: int) -> dict[str, Metric]:
    """How good decoded draws from the prior are, where there is a classifier of the data set to judge them."""
    dataset = vae.training_data.dataset
    names = {
        "inception_score": "Inception score",
        "clear_draws": f"Clear {dataset.items}",
        "frechet_distance": "Fréchet distance",
        "precision": "Precision",
        "recall": "Recall",
    }
    if dataset.classifier is None:
        return {
            key: metric(name, None, "", f"there is no classifier of {dataset.name} to judge samples")
            for key, name in names.items()
        }
    judge = classifier.load(classifier.WEIGHTS.with_name(dataset.classifier))
    generator = torch.Generator().manual_seed(seed)
    batches = (generate(vae, BATCH, generator=generator) for _ in range(SAMPLES // BATCH))
    drawn = torch.cat([classifier.features(judge, images) for images in batches])
    real = torch.cat([classifier.features(judge, images) for images in data.test_images().split(BATCH)])
    verdicts, verdicts_on_real = (classifier.probabilities(judge, features) for features in (drawn, real))
    terms, terms_of_real = (inception_terms(part) for part in (verdicts, verdicts_on_real))
    score = terms.mean().exp().item()
    clear, clear_of_real = (clear_draws(part).double().mean() for part in (verdicts, verdicts_on_real))
    precision, recall = precision_and_recall(drawn, real)
    draws = f"decoded images of {SAMPLES:,} draws from the prior, seed {seed}"
    judged = f"{draws}, judged by {dataset.classifier}"
    features = f"{draws}, against {len(real):,} test images, by the features of {dataset.classifier}"
    sure = f"share of which it is at least {CLEAR:.0%} sure"
    return {
        "inception_score": metric(
            names["inception_score"],
            score,
            f"of {len(dataset.class_names)}",
            f"{judged}; that of the test images is {terms_of_real.mean().exp():.2f}",
            score * (standard_error(terms) or 0.0),
        ),
        "clear_draws": share(
            names["clear_draws"], clear.item(), SAMPLES, f"{judged}, {sure}; of the test images {clear_of_real:.3f}"
        ),
        "frechet_distance": metric(
            names["frechet_distance"],
            frechet_distance(drawn, real),
            "",
            f"{features}: not comparable with distances by Inception features",
        ),
        "precision": share(names["precision"], precision, SAMPLES, f"{features}, 3 neighbours"),
        "recall": share(names["recall"], recall, len(real), f"{features}, 3 neighbours"),
    }
