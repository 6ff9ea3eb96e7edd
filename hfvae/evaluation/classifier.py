"""The classifier that judges samples: `hfvae evaluate` computes the inception score with it.

`hfvae/cli/classifier.py` trains it. Its weights are beside this file, so that every evaluation uses the same one.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_suffix(".safetensors")


def build() -> nn.Sequential:
    """Images (B, 1, 28, 28) in [0, 1] -> the logits of ten digits, (B, 10)."""
    layers: list[nn.Module] = []
    for stage, (inputs, outputs) in enumerate(pairwise((1, 32, 32, 64, 64, 128))):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=1 + stage % 2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def load(path: Path = WEIGHTS) -> nn.Sequential:
    """The trained classifier, in eval mode, on the CPU."""
    classifier = build()
    classifier.load_state_dict(load_file(path))
    return classifier.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def features(classifier: nn.Sequential, images: Tensor) -> Tensor:
    """What the last layer gets, (B, 128), for images (B, 1, 28, 28) in [0, 1]."""
    return classifier[:-1](images)


@torch.no_grad()
def probabilities(classifier: nn.Sequential, features: Tensor) -> Tensor:
    """p(class | image), (B, 10) float64, from the features of the images."""
    return classifier[-1](features).double().softmax(1)
