"""A generated data set: simulated hearts with scribbles."""
