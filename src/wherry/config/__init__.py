"""The settings: one file, every key known, every error with its line."""

from wherry.config.reading import FILE_NAME, parse_settings, read_settings
from wherry.config.settings import (
    Audit,
    Behave,
    Collect,
    Field,
    LakeSettings,
    Learn,
    Mapping,
    Outcomes,
    Registry,
    Release,
    Serve,
    Sessions,
    Settings,
    Source,
    Transform,
)

__all__ = [
    "FILE_NAME",
    "Audit",
    "Behave",
    "Collect",
    "Field",
    "LakeSettings",
    "Learn",
    "Mapping",
    "Outcomes",
    "Registry",
    "Release",
    "Serve",
    "Sessions",
    "Settings",
    "Source",
    "Transform",
    "parse_settings",
    "read_settings",
]
