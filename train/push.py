"""Publish a model, and optionally a Space; `hfvae push` once the package is installed."""

import clone  # noqa: F401  finds the package of this clone, installed or not

from hfvae.cli.push import main

if __name__ == "__main__":
    main()
