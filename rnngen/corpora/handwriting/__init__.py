"""Online handwriting: IAM-OnDB and files of one's own, to Parquet and to minibatches (§4.1)."""
