"""What can go wrong when a store is opened. Trouble later on is `bot.core.errors.Unavailable`."""


class CannotOpen(Exception):
    """The database cannot be used; the message says why and what to do."""
