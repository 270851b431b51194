"""Models of study files, label values and strict validation."""
