"""Live: what changes between two releases and counts at once, shared by all worker processes."""
