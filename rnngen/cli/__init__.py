"""The command line: `rnngen write`, `text`, `inspect`, `compare`, `watch`."""
