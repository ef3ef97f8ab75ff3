"""The pages: served on loopback, rendered on the server, with state that a reload cannot lose."""
