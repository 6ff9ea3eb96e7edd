"""The digit classifier that judges samples: what `train/evaluate.py` computes the inception score with.

    python train/classifier.py      train it anew, measure it on the test set, write train/classifier.safetensors

Its weights lie beside it, so that every evaluation asks the same judge.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # so that a clone works without installing the package

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from tqdm import tqdm  # noqa: E402

from hfvae import MNISTDataModule  # noqa: E402
from hfvae.allocator import keep_freed_memory  # noqa: E402
from hfvae.data import Batch  # noqa: E402

WEIGHTS = Path(__file__).with_suffix(".safetensors")
LEAST_ACCURACY = 0.993
"""A worse judge is not worth asking, and not saved."""


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


def load() -> nn.Sequential:
    """The trained classifier, in eval mode, on the CPU."""
    classifier = build()
    classifier.load_state_dict(load_file(WEIGHTS))
    return classifier.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """p(digit | image) for images (B, 1, 28, 28) in [0, 1]: (B, 10) float64."""
    return classifier(images).double().softmax(1)


def train(data: MNISTDataModule, epochs: int) -> nn.Sequential:
    """Digits as they are, a one-cycle learning rate."""
    classifier = build().to(memory_format=torch.channels_last)
    loader = data.train_dataloader()
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * len(loader))
    for epoch in range(epochs):
        for x, y in tqdm(loader, desc=f"epoch {epoch + 1} of {epochs}", leave=False):
            with torch.autocast("cpu", torch.bfloat16):
                logits = classifier(x)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), y).backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def accuracy(classifier: nn.Module, loader: DataLoader[Batch]) -> float:
    right = torch.cat([probabilities(classifier, x).argmax(1) == y for x, y in loader])
    return right.double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digit classifier that judges samples.")
    parser.add_argument("--data_dir", help="the folder above MNIST/raw (default: $HFVAE_DATA_DIR, else data)")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    data = MNISTDataModule(arguments.data_dir, batch_size=128)
    data.prepare_data()
    data.setup()
    started = time.monotonic()
    classifier = train(data, arguments.epochs)
    minutes = (time.monotonic() - started) / 60
    classifier.half().float()  # as it will be stored
    measured = accuracy(classifier, data.test_dataloader())
    print(f"{measured:.4f} of the test digits are told right, after {minutes:.1f} minutes")
    if measured < LEAST_ACCURACY:
        sys.exit(f"That is less than {LEAST_ACCURACY}: not saved. Train for more epochs")
    save_file({name: value.contiguous() for name, value in classifier.half().state_dict().items()}, WEIGHTS)
    print(f"Wrote {WEIGHTS}")


if __name__ == "__main__":
    main()
