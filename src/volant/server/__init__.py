"""The engine with a web face and a scheduler. Its room; not furnished yet."""
