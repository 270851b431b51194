"""Provenance of numbers: digests, records, verification."""
