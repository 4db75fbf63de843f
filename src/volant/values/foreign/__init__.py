"""One adapter for each library whose values are taken apart."""
