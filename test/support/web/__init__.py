"""Helpers of the tests of the operator's page."""
