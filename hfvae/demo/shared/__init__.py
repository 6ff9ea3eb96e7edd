"""Everything that several tabs need: scripts of the page, and the decoding of latent points."""
