"""Content-addressed blobs and the append-only ledger."""
