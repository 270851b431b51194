"""Scores and their statistics; needs no torch."""
