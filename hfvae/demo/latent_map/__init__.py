"""The Latent map tab."""
