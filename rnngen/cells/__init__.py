"""The recurrent layers (eq 7–11) and the window (eq 46–52): readable references, and fast kernels beside them."""
