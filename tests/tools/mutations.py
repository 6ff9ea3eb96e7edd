"""Breaks the code on purpose, one place at a time, and counts what the tests notice.

    python tests/mutations.py              all of them
    python tests/mutations.py data hub     those of some files

Each mutation is made in a copy of the repository, in which the tests named beside it are run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parent.parent


class Mutation(NamedTuple):
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    # the mathematics
    Mutation("distributions.py", "near.sub_(at_radius)", "near", "test_distributions.py"),
    Mutation("distributions.py", "mirrored = torch.where(eta > 0, 1 - u, u)", "mirrored = u", "test_distributions.py"),
    Mutation("distributions.py", "* (a <= ctx.limit)", "", "test_distributions.py"),
    Mutation("likelihoods.py", "torch.rand(x.shape, generator=generator).to(x)) / 256", "0.5) / 256", "test_models.py"),
    Mutation("models.py", "Bound(-(rate + distortion)", "Bound(-(self.beta * rate + distortion)", "test_models.py"),
    Mutation("models.py", "log_std.clamp(*LOG_STD_RANGE).exp()", "log_std.exp()", "test_models.py"),
    Mutation("models.py", "+ self.prior.log_prob(z)", "", "test_evaluation.py"),
    Mutation("evaluation.py", "return math.log(num_samples) - total", "return -total", "test_evaluation.py"),
    Mutation("evaluation.py", "variance.flip(0)", "variance", "test_evaluation.py"),
    Mutation("training.py", "share.unsqueeze(-1) * gradient", "gradient", "test_training.py"),
    Mutation("training.py", "self.rate_weight * elbo.rate", "elbo.rate", "test_training.py"),
    Mutation("inference.py", "torch.lerp(norm_a, norm_b, t)", "norm_a", "test_inference.py"),
    Mutation("networks.py", "*reversed(hidden_features)", "*hidden_features", "test_models.py"),
    # what travels and what is kept
    Mutation("data.py", "noise_seed=None if training else self.seed", "noise_seed=self.seed", "test_data.py"),
    Mutation("data.py", "generator=Generator(),", "", "test_survival.py -k killed_and"),
    Mutation("data.py", ".clamp_(0, 255)", "", "test_data.py"),
    Mutation("sketch.py", "shift = round(MIDDLE + 0.5", "shift = round(MIDDLE - 1", "test_sketch.py"),
    Mutation("hub.py", "if expected is not None and sha256(path) != expected:", "if False:", "test_hub.py"),
    Mutation("hub.py", "temporary.replace(path)", "path.write_bytes(temporary.read_bytes())", "test_hub.py"),
    Mutation("card.py", "**ours.to_dict(), **theirs,", "**theirs, **ours.to_dict(),", "test_card.py"),
    Mutation("publish.py", "if measured != hub.sha256(folder / hub.WEIGHTS):", "if False:", "test_publish.py"),
    # the app
    Mutation("demo/wire.py", "not low <= value <= high:  # NaN too", "value < low or value > high:", "test_session.py"),
    Mutation(
        "demo/session.py", "key=lambda latent: -self.activity", "key=lambda latent: self.activity", "test_session.py"
    ),
    Mutation("demo/gate.py", "self._places.release()\n            raise", "raise", "test_session.py"),
    Mutation("demo/page.py", "received > self.most", "False", "test_api.py"),
    Mutation("demo/assets/decoder.js", "Math.exp(-", "Math.exp(", "test_page.py -k agrees"),
]


def noticed(mutation: Mutation, copy: Path) -> bool:
    """Whether a test fails once `mutation` is made."""
    path = copy / "hfvae" / mutation.file
    whole = path.read_text()
    if mutation.old not in whole:
        sys.exit(f"{mutation.file} has no {mutation.old!r}: mend the list")
    path.write_text(whole.replace(mutation.old, mutation.new))
    name, *selection = mutation.tests.split()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{name}", *selection]
    done = subprocess.run(command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True)
    path.write_text(whole)
    if done.returncode not in (0, 1):
        sys.exit(f"{mutation.tests} could not be run:\n{done.stdout.decode()}")
    return done.returncode == 1


def main() -> None:
    wanted = [it for it in MUTATIONS if not sys.argv[1:] or any(part in it.file for part in sys.argv[1:])]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".git", "runs", "__pycache__", ".*_cache"))
        for mutation in wanted:
            seen = noticed(mutation, copy)
            missed += not seen
            print(
                f"{'noticed' if seen else 'MISSED ':8} {mutation.file}: {mutation.old!r} -> {mutation.new!r}",
                flush=True,
            )
    print(f"{len(wanted) - missed} of {len(wanted)} noticed")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
