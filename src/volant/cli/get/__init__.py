"""What `volant get` gets."""
