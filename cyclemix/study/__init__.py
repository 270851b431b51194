"""A whole study: its plan, its rows, its sweeps, its cost."""
