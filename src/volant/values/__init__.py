"""Python values to canonical bytes and back, driven by annotated types."""
