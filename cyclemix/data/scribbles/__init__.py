"""Scribbles: checks, simulation from dense labels, thinning."""
