"""One verb, one file: `run(session) -> exit code`."""
