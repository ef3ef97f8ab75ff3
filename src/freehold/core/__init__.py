"""The vocabulary of Freehold: records, outcomes, digests, errors and strict YAML."""
