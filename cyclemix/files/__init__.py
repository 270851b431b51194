"""Atomic writes, locks, paths under the results folder."""
