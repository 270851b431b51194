"""Atomic writes, locks, templates, paths under the results folder."""
