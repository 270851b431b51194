"""Data: what a data set is, its download, preparation, splits and the embedded phantom; no torch."""
