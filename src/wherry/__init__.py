"""Wherry: from raw shop events to live, tested recommendations, on one machine."""

__version__ = "0.1.0"
