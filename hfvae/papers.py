"""The papers that model cards cite."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """Where something was published."""

    title: str
    url: str


VAE = Paper("Kingma & Welling 2014, auto-encoding variational Bayes", "https://arxiv.org/abs/1312.6114")
CONTINUOUS_BERNOULLI = Paper(
    "Loaiza-Ganem & Cunningham 2019, the continuous Bernoulli", "https://arxiv.org/abs/1907.06845"
)
LEARNED_PRIOR = Paper(
    "Xu et al. 2019, on the necessity and effectiveness of learning the prior", "https://arxiv.org/abs/1905.13452"
)
IMPORTANCE_WEIGHTED = Paper(
    "Burda, Grosse & Salakhutdinov 2016, importance weighted autoencoders", "https://arxiv.org/abs/1509.00519"
)
