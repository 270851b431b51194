"""CycleMix (CVPR 2022), reproduced, compared and extended: cardiac MR segmentation from scribbles."""

__version__ = "0.1.0"
