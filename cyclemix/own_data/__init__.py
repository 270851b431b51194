"""A user's own folder: draft its YAML, check it, simulate scribbles."""
