"""The MLflow mirror of finished and running stages."""
