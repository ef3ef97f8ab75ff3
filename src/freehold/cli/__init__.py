"""The command `freehold`: parse, call, print. The only room that reads the environment."""
