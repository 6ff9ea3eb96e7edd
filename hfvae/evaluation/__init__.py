"""How good is a model? Its likelihood of images, what its codes tell, and what its samples look like.

`metrics` computes all figures of a model, `plots` draws; both need what an app goes without, and are imported by name.
"""

from .bounds import image_bounds, image_nll, importance_weighted_nll, rate_is_exact, reconstruction_errors
from .codes import (
    ACTIVE_VARIANCE,
    Encoded,
    PrincipalAxes,
    active_units,
    encode_dataset,
    knn_accuracy,
    linear_probe_accuracy,
    neighbour_embedding,
    principal_axes,
)
from .quadrature import MAX_LATENTS, LatentGrid, NotConverged, PosteriorMap, quadrature_nll
from .samples import CLEAR, clear_draws, frechet_distance, inception_terms, precision_and_recall

__all__ = [
    "ACTIVE_VARIANCE",
    "CLEAR",
    "MAX_LATENTS",
    "Encoded",
    "LatentGrid",
    "NotConverged",
    "PosteriorMap",
    "PrincipalAxes",
    "active_units",
    "clear_draws",
    "encode_dataset",
    "frechet_distance",
    "image_bounds",
    "image_nll",
    "importance_weighted_nll",
    "inception_terms",
    "knn_accuracy",
    "linear_probe_accuracy",
    "neighbour_embedding",
    "precision_and_recall",
    "principal_axes",
    "quadrature_nll",
    "rate_is_exact",
    "reconstruction_errors",
]
