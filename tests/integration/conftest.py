"""What holds for every test of whole parts together."""

from tests.patience import patience

__all__ = ["patience"]
