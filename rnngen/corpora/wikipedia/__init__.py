"""MediaWiki dumps to Parquet and to a stream of bytes (§3.2)."""
