"""Batched tensor functions of a training step: pure, seeded, without a loop over samples or a host sync."""
