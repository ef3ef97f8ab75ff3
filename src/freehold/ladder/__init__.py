"""The rungs, and the climb."""
