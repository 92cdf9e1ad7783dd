"""Generating Sequences With Recurrent Neural Networks (Graves, 2013), as a library."""
