"""Submitting and watching runs through a home's engine."""
