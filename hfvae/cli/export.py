"""Write a model's encoder, decoder and prior for other tools.

    hfvae export --model mnist-conv-32d --format onnx
    hfvae export --model user/name --format torch --output exported

ONNX files of a folder are pushed with its model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .. import export, hub
from ..models import VAE
from ..version import command
from . import add_extension_option, import_extensions, model_folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the model that `arguments` (None: the command line's) name."""
    parser = argparse.ArgumentParser(
        prog=command("export"), description="Write a model's encoder, decoder and prior for other tools."
    )
    parser.add_argument("--model", required=True, metavar="DIR_OR_REPO", help="folder, bundled name or user/name")
    parser.add_argument("--revision", help="branch, tag or commit of a hub repository")
    parser.add_argument("--format", default="onnx", choices=[*export.FORMATS], help="ONNX, or torch.export's programs")
    parser.add_argument("--output", help="folder (default: onnx or torch in the model's; for a repo, runs/user--name)")
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    try:
        source = hub.ModelSource(options.model, revision=options.revision)
        vae = VAE.from_pretrained(options.model, revision=options.revision).float()
        target = Path(options.output) if options.output else model_folder(source) / options.format
        weights = hub.sha256(source.path(hub.WEIGHTS, None))
        written = export.write(vae, target, options.format, export.facts(vae, weights))
        hub.write_json(target / hub.EXPORT_RECORD, {"weights_sha256": weights})
    except (hub.HubError, export.MissingPackage) as error:
        parser.exit(1, f"{error}\n")
    for path in written:
        print(f"Wrote {path} ({path.stat().st_size:,} bytes)")
