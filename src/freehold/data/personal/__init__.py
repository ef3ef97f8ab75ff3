"""Personal data and secrets: what is found, and what becomes of it. No value is kept in a record."""
