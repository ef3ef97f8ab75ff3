"""From files to a frozen, split snapshot; every drop has a reason."""
