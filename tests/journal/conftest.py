"""The conformance suite's assertions explain themselves, though it lies in the package."""

import pytest

pytest.register_assert_rewrite("volant.testing.journal")
