"""Pages that work from one file, offline: the network that writes in a browser."""
