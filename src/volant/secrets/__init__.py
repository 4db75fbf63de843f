"""The encrypted store and its providers. Its room; not furnished yet."""
