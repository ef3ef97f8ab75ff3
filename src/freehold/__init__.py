"""Freehold: decide, build and keep language models of your own."""

__version__ = "0.1.0"
