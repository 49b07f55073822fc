"""Collect: the way of a shop's files into the log."""

from wherry.collect.load import Loaded, load_file
from wherry.collect.presets import PRESETS, find_mapping
from wherry.collect.source import SourceFile, find_files, inspect

__all__ = [
    "PRESETS",
    "Loaded",
    "SourceFile",
    "find_files",
    "find_mapping",
    "inspect",
    "load_file",
]
