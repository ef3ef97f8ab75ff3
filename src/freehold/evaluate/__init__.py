"""Scores answers, and says what may be claimed."""
