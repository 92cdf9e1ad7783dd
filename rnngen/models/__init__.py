"""Trained networks on disk, and what can be done with them."""
