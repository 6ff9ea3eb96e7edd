"""Breaks the code on purpose, one place at a time, and counts what the tests notice.

    python tests/tools/mutations.py              all of them
    python tests/tools/mutations.py data hub     those of some files

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

REPOSITORY = Path(__file__).parent.parent.parent


class Mutation(NamedTuple):
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    # the mathematics
    Mutation("probability/log_normalizer.py", "near.sub_(at_radius)", "near", "test_continuous_bernoulli.py"),
    Mutation(
        "probability/continuous_bernoulli.py",
        "mirrored = torch.where(eta > 0, 1 - u, u)",
        "mirrored = u",
        "test_continuous_bernoulli.py",
    ),
    Mutation("probability/log_normalizer.py", "* (a <= ctx.limit)", "", "test_continuous_bernoulli.py"),
    Mutation("datasets.py", "(levels + noise) / GREY_LEVELS", "(levels + 0.5) / GREY_LEVELS", "test_models.py"),
    Mutation("datasets.py", "pixels * self.std + self.mean", "pixels", "test_extension.py -k standardised"),
    Mutation(
        "models.py", "ELBOTerms(-(rate + distortion)", "ELBOTerms(-(self.beta * rate + distortion)", "test_models.py"
    ),
    Mutation("models.py", "+ self.prior.log_prob(z)", "", "test_evaluation.py"),
    Mutation("probability/posteriors.py", "log_std.clamp(*LOG_STD_RANGE).exp()", "log_std.exp()", "test_models.py"),
    Mutation(
        "probability/sampling.py", "q.log_prob(z) - p.log_prob(z)", "p.log_prob(z) - q.log_prob(z)", "test_sampling.py"
    ),
    Mutation("probability/sampling.py", "return mean + temperature * (", "return mean + (", "test_sampling.py"),
    Mutation("probability/sampling.py", "chosen = chosen.T.reshape", "chosen = chosen.reshape", "test_sampling.py"),
    Mutation(
        "inference.py",
        "rsample(vae.prior, (num_samples,)",
        "rsample(VAE.prior.fget(vae), (num_samples,)",
        "test_priors.py",
    ),
    Mutation("evaluation/bounds.py", "return math.log(num_samples) - total", "return -total", "test_evaluation.py"),
    Mutation("evaluation/bounds.py", "seeded_generator(seed, number))", "Generator())", "test_evaluation.py"),
    Mutation("evaluation/codes.py", "variance.flip(0)", "variance", "test_evaluation.py"),
    Mutation("evaluation/samples.py", "kthvalue(neighbours + 1", "kthvalue(neighbours + 90", "test_evaluation.py"),
    Mutation("evaluation/quadrature.py", "border > _MAX_BORDER_SHARE", "False", "test_evaluation.py"),
    Mutation("evaluation/quadrature.py", "table.amax(0) - margin", "table.amax(0) - 1", "test_evaluation.py"),
    Mutation("tensors.py", "result if result.dtype not in HALF", "result if True", "test_precision.py"),
    Mutation("tensors.py", "return not transformed(tensor)", "return True", "test_transforms.py -k vmap"),
    Mutation("images.py", "pixels.movedim(-1, -3)", "pixels", "test_images.py"),
    Mutation("images.py", "pixels.float() / (GREY_LEVELS - 1)", "pixels.float()", "test_images.py"),
    Mutation("inference.py", "if x.dtype == torch.uint8:", "if False:", "test_images.py"),
    Mutation("probability/flows.py", "iter(reversed(self.inverses))", "iter(self.inverses)", "test_export.py"),
    Mutation("hub/contents.py", "details=details._replace", "details=CardDetails()._replace", "test_mixin.py"),
    Mutation("hub/loading.py", "**(overrides or {})", "", "test_mixin.py -k overrides"),
    Mutation("demo/state.py", "    def _update_value_in_config", "    def _unused", "test_hostile.py -k once"),
    Mutation("training/objectives.py", "share.unsqueeze(-1) * gradient", "gradient", "test_training.py"),
    Mutation("training/objectives.py", "vae.posterior.detached(outputs)", "vae.posterior(outputs)", "test_training.py"),
    Mutation("training/module.py", "self.rate_weight * elbo.rate", "elbo.rate", "test_training.py"),
    Mutation("inference.py", "torch.lerp(norm_a, norm_b, t)", "norm_a", "test_inference.py"),
    Mutation("networks.py", "*reversed(hidden_features)", "*hidden_features", "test_models.py"),
    # what travels and what is kept
    Mutation("data/module.py", "augmentation=self.augmentation)", "noise_seed=self.seed)", "test_data.py"),
    Mutation("data/module.py", "val, noise_seed=self.seed)", "val)", "test_data.py"),
    Mutation("data/module.py", "generator=Generator(),", "", "journeys/test_interrupted_run.py -k killed_and"),
    Mutation("data/augmentation.py", "moved.clamp(0, 255)", "moved", "test_augmentation.py"),
    Mutation("data/augmentation.py", ".mul_(self.edge_contrast)", "", "test_augmentation.py"),
    Mutation("data/readers.py", "labels.long() - self.first_label", "labels.long()", "test_extension.py -k letters"),
    Mutation("sketch.py", "shift = round(MIDDLE + 0.5", "shift = round(MIDDLE - 1", "test_sketch.py"),
    Mutation("hub/download.py", "if expected is not None and sha256(path) != expected:", "if False:", "test_hub.py"),
    Mutation("hub/transfer.py", "size > self.most_bytes", "False", "test_download.py -k oversized"),
    Mutation("hub/checkpoint.py", "if damaged is not None:", "if False:", "test_training.py -k damage"),
    Mutation("hub/layout.py", "temporary.replace(path)", "path.write_bytes(temporary.read_bytes())", "test_hub.py"),
    Mutation("hub/card.py", "**ours.to_dict(), **theirs,", "**theirs, **ours.to_dict(),", "test_card.py"),
    Mutation("hub/publish.py", "if measured != sha256(folder / WEIGHTS):", "if False:", "test_publish.py"),
    # the app
    Mutation(
        "demo/serialization.py",
        "not low <= value <= high:  # NaN too",
        "value < low or value > high:",
        "test_demo.py",
    ),
    Mutation(
        "demo/registry.py", "key=lambda latent: -self.activity", "key=lambda latent: self.activity", "test_demo.py"
    ),
    Mutation(
        "demo/limiter.py", "self._waiting[who] = line", "self._waiting = {who: line, **self._waiting}", "test_demo.py"
    ),
    Mutation("demo/guards.py", "received > self.max_bytes", "False", "test_api.py"),
    Mutation("demo/guards.py", "urlsplit(origin).hostname not in self.hosts", "False", "test_hostile.py"),
    Mutation("demo/cards.py", '"html": False', '"html": True', "test_hostile.py"),
    Mutation("demo/answers.py", "> MAX_UNREAD_BYTES", "> 100 * MAX_UNREAD_BYTES", "test_hostile.py"),
    Mutation("demo/page/program.js", "exp(-x)", "exp(x)", "test_page_sliders.py -k agrees"),
]


def noticed(mutation: Mutation, copy: Path) -> bool:
    """Whether a test fails once `mutation` is made."""
    path = copy / "hfvae" / mutation.file
    whole = path.read_text()
    if mutation.old not in whole:
        sys.exit(f"{mutation.file} has no {mutation.old!r}: mend the list")
    path.write_text(whole.replace(mutation.old, mutation.new))
    name, *selection = mutation.tests.split()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        f"tests/{name}",
        *selection,
    ]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    if "HFVAE_DATA_DIR" in environment:  # a relative one would name another folder from the copy, and tests would skip
        environment["HFVAE_DATA_DIR"] = str(Path(environment["HFVAE_DATA_DIR"]).absolute())
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True)
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
