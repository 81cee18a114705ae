"""What holds for every test that ends a process in the midst of its work."""

from tests.patience import patience

__all__ = ["patience"]
