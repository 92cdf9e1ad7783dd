"""Trained networks on disk, and what one does with them."""
