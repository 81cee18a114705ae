"""What holds for every test of the product as it is started."""

from tests.patience import patience

__all__ = ["patience"]
