"""What a block asks the database, without what its process asks by the second whatever runs.

The clock looks once in ten seconds, prices and keys once in one or in ten: a look that happens to fall into a block
whose queries a test counts is none of them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

BY_THE_SECOND = (
    "SELECT clock_timestamp()",
    'FROM "rating_generation"',
    'FROM "counter_directorygeneration"',
    'FROM "billing_platform_keygeneration"',
)
Counted = Callable[[int], AbstractContextManager["Asked"]]


class Asked(CaptureQueriesContext):
    """Django's, of this thread's connection; its length and its items leave out what is asked by the second."""

    def __init__(self) -> None:
        super().__init__(connection)

    @property
    def captured_queries(self) -> list[dict[str, str]]:
        every = super().captured_queries
        return [query for query in every if not any(look in query["sql"] for look in BY_THE_SECOND)]

    def told(self) -> str:
        return "\n".join(["asked:", *(query["sql"] for query in self)])


@pytest.fixture
def django_assert_num_queries() -> Counted:
    """In place of pytest-django's."""

    @contextmanager
    def exactly(number: int) -> Iterator[Asked]:
        with Asked() as asked:
            yield asked
        assert len(asked) == number, asked.told()

    return exactly


@pytest.fixture
def django_assert_max_num_queries() -> Counted:
    """In place of pytest-django's."""

    @contextmanager
    def at_most(number: int) -> Iterator[Asked]:
        with Asked() as asked:
            yield asked
        assert len(asked) <= number, asked.told()

    return at_most
