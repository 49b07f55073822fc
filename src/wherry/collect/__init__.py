"""Collect: the way of a shop's files and live events into the log."""

from wherry.collect.drain import drain
from wherry.collect.load import Loaded, load_file
from wherry.collect.presets import PRESETS, find_mapping
from wherry.collect.source import SourceFile, find_files, inspect

__all__ = [
    "PRESETS",
    "Loaded",
    "SourceFile",
    "drain",
    "find_files",
    "find_mapping",
    "inspect",
    "load_file",
]
