"""Draws records: SVG charts, the HTML report, terminal tables."""
