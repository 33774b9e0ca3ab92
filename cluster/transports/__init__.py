"""What a client of the client protocol may be connected by."""
