"""The Sliders tab: sliders, morphs and the grid of prior draws."""
