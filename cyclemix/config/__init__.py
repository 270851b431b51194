"""What a study file may say: models, labels and strict validation."""
