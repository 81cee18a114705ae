"""What holds for every test: generated examples are the same in every run.

A search for new ones is `pytest tests/property --hypothesis-profile=searching`.
"""

from hypothesis import settings

# A slow machine is no fault of the code, so no example has a deadline.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None, print_blob=True)
settings.load_profile("repeatable")
