"""Apply a trained model to volumes."""
