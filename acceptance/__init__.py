"""Acceptance: real data and published results, replay, and runs that are killed."""
