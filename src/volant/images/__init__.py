"""Images realised as environments. Its room; not furnished yet."""
