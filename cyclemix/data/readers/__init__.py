"""Readers of medical image files (NIfTI, ITK formats, HDF5), orientation and alignment."""
