"""`python -m hfvae app|fit|evaluate|push|export`, the same as the command `hfvae`."""

from .cli import main

main()
