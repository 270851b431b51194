"""A user's own folder: draft its YAML files, check it, simulate scribbles."""
