"""Online handwriting: IAM-OnDB and your own files, to Parquet and to minibatches (§4.1)."""
