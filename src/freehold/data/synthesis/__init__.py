"""Rows that no person wrote: by a teacher or by noise, filtered, recorded, and for training only."""
