"""Faults on purpose: killed processes, full disks, torn files, mutated input: `python -m tests.faults`."""
