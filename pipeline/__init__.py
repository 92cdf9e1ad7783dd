"""One module per rule of the workflow; each runs alone as `python -m pipeline.NAME --help`."""
