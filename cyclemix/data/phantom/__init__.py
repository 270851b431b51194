"""A synthetic data set: simulated hearts with scribbles."""
