"""How much `load` adds to reading the weights and building the module: `python tests/tools/benchmark_load.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import paths  # noqa: F401
from safetensors.torch import load_file

from hfvae import hub, load
from hfvae.models import VAE


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main(rounds: int = 30) -> None:
    for name in hub.bundled_names():
        source = hub.ModelSource(name)
        kind = type(load(name, device="cpu"))

        def bare(source: hub.ModelSource = source, kind: type[VAE] = kind) -> None:
            vae = kind(**source.config()[1])
            vae.load_state_dict(load_file(source.path(hub.WEIGHTS)))

        pairs = [(seconds(lambda name=name: load(name, device="cpu")), seconds(bare)) for _ in range(rounds)]
        ours, theirs = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name}: load {ours:.1f} ms, load_file + module {theirs:.1f} ms, ratio {ratio:.2f} (median of {rounds})")


if __name__ == "__main__":
    main()
