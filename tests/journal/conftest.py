"""The conformance suites' assertions explain themselves, though they lie in the package."""

import pytest

pytest.register_assert_rewrite("volant.testing.journal", "volant.testing.leases")
