"""Conformance suites and fakes for adapters and for users' tests."""
