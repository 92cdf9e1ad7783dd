"""Kernels for a GPU: experimental. Nothing outside this folder but `rnngen.cells` imports it."""
