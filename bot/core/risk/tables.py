"""Tables of names, written as text so that people can read them."""


def names(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())
