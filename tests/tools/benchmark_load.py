"""How long `import hfvae` and `load` take beside what they need: `python tests/tools/benchmark_load.py`.

The whole of a process against `import torch` and reading the file, without and with the import of the models' base
class, then `load` alone against reading and building.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
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


def processes(name: str, rounds: int = 10) -> None:
    """Three programs in turns, each in a process of its own; the third shows what the models' base class takes."""
    path = hub.ModelSource(name).path(hub.WEIGHTS)
    bare = f"import torch; from safetensors.torch import load_file; load_file({str(path)!r})"
    programs = (
        f"import hfvae; hfvae.load({name!r}, device='cpu')",
        bare,
        f"{bare}; from huggingface_hub import PyTorchModelHubMixin",
    )

    def run(program: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", program], check=True))

    run(programs[0])
    times = [[run(program) for program in programs] for _ in range(rounds)]
    ours, least, mixin = (statistics.median(each) for each in zip(*times, strict=True))
    print(
        f"{name}: import hfvae and load {ours:.2f} s; import torch and load_file {least:.2f} s, ratio "
        f"{ours / least:.2f}; with PyTorchModelHubMixin imported too {mixin:.2f} s, ratio {ours / mixin:.2f}"
    )


def main(rounds: int = 30) -> None:
    for name in hub.bundled_names():
        processes(name)
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
