"""The command line: `rnngen write`, `text`, `page`, `lines`, `inspect`, `compare`, `watch`."""
