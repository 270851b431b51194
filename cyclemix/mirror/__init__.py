"""The MLflow mirror without MLflow: what a mirrored run is, how files become one, how training feeds it."""
