"""The one process per home that journals, decides and dispatches."""
