"""Batched tensor functions of a training step: pure, seeded by a generator, no loop over samples, no host sync."""
