"""Corpora: from raw files to Parquet, and from Parquet to sequences."""
