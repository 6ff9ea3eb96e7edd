"""Train the classifier that judges samples, measure it on the test set, write hfvae/evaluation/classifier.safetensors.

python train/classifier.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..allocator import keep_freed_memory
from ..data import Batch, MNISTDataModule
from ..evaluation.classifier import WEIGHTS, build, features, probabilities

MIN_ACCURACY = 0.993
"""A classifier below this test accuracy is not saved."""


def train(data: MNISTDataModule, epochs: int) -> nn.Sequential:
    """Images as they are, a one-cycle learning rate."""
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


def accuracy(classifier: nn.Sequential, loader: DataLoader[Batch]) -> float:
    """Share of the images whose most probable class is their own."""
    right = torch.cat([probabilities(classifier, features(classifier, x)).argmax(1) == y for x, y in loader])
    return right.double().mean().item()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and save, as `arguments` (None: the command line's) say."""
    parser = argparse.ArgumentParser(description="Train the classifier that judges samples.")
    parser.add_argument("--data_dir", help="the folder above MNIST/raw (default: $HFVAE_DATA_DIR, else data)")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.manual_seed(0)
    data = MNISTDataModule(options.data_dir, batch_size=128)
    data.prepare_data()
    data.setup()
    started = time.monotonic()
    classifier = train(data, options.epochs)
    minutes = (time.monotonic() - started) / 60
    classifier.half().float()  # as it will be stored
    measured = accuracy(classifier, data.test_dataloader())
    print(f"Test accuracy {measured:.4f} after {minutes:.1f} minutes")
    if measured < MIN_ACCURACY:
        sys.exit(f"That is less than {MIN_ACCURACY}: not saved. Train for more epochs")
    save_file({name: value.contiguous() for name, value in classifier.half().state_dict().items()}, WEIGHTS)
    print(f"Wrote {WEIGHTS}")
