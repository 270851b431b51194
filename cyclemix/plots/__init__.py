"""The drawings that ``cyclemix.figures`` puts together: matplotlib without pyplot, no global state."""
