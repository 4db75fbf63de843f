"""Where attempts run: local processes, or the client itself."""
