"""One module per rule of the workflow; each runs alone as `python -m pipeline.NAME --help`."""

import sys

from rnngen.errors import leave_quietly_if_interrupted

if sys.argv[0] == "-m":  # what Python says while it looks for the module that it was asked to run
    leave_quietly_if_interrupted()
