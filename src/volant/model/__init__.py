"""Frozen data: ids, specs, phases, records, messages and errors."""
