"""The training loop: slices, engine, validation, checkpoints."""
