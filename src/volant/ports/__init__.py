"""The protocols through which the engine does I/O, with their laws."""
