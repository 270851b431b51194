"""Scribbles: checks, measures, simulation from dense labels, reduction."""
