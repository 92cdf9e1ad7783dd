"""Strokes: read, cleaned, drawn, and read back."""
