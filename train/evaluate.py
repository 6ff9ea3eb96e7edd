"""Measure a model and write its card; `hfvae evaluate` once the package is installed."""

import clone  # noqa: F401  finds the package of this clone, installed or not

from hfvae.cli.evaluate import main

if __name__ == "__main__":
    main()
