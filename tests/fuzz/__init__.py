"""Readers of foreign bytes, given what nobody writes: python -m tests.fuzz, and tests/unit/test_foreign_bytes.py."""
