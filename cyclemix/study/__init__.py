"""A study as a whole: its plan, its rows, its sweeps."""
