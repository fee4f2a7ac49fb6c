"""Readers of foreign bytes, given what nobody writes; also by tests/unit/test_foreign_bytes.py."""
