"""Builds adapters and models from training data."""
