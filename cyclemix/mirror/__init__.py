"""The MLflow mirror: what a mirrored run is, how files become one, how training feeds it, the store."""
