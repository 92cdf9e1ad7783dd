"""The prediction network (eq 1–6) and the synthesis network (§5.1)."""
