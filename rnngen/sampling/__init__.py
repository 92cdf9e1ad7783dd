"""Text and handwriting, one symbol or point after another (§3, §4.3, §5.3–5.5)."""
