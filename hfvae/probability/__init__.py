"""p(x|z), p(z) and q(z|x): likelihoods, priors, posteriors, and the distributions and sampling that they need."""
