"""What all tests share: how properties are searched, and shops that are built once."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says nothing on a machine that does other things as well.
settings.register_profile("wherry", deadline=None)
settings.load_profile("wherry")
