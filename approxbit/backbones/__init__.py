"""Frozen video models and the places where they can be cut."""
