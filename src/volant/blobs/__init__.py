"""Large values by content hash."""
