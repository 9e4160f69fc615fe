"""Files of rows: CSV as it is read, a workbook when it is whole, and neither holds a formula or a foreign header."""

from io import BytesIO
from itertools import count

import openpyxl
import pytest
from django.http import FileResponse

from billing_platform import answers
from billing_platform.answers import rows_file
from billing_platform.errors import Malformed, TooLarge
from billing_platform.sheets import Figure

ROWS = [["number", "sum"], ["013800000001", Figure("-1.50")], ["=1+1", ""]]


def test_the_same_rows_as_csv_and_as_a_workbook() -> None:
    text = rows_file(iter(ROWS), name="calls", kind="csv")
    book = rows_file(iter(ROWS), name="calls", kind="xlsx", title="Calls: [all]")

    assert text.headers["Content-Disposition"] == 'attachment; filename="calls.csv"'
    assert b"".join(text).decode() == "\ufeffnumber,sum\r\n013800000001,-1.50\r\n'=1+1,\r\n"
    assert isinstance(book, FileResponse)
    sheet = openpyxl.load_workbook(BytesIO(b"".join(book))).active
    assert sheet is not None
    assert (sheet.title, book.headers["Content-Disposition"]) == ("Calls all", 'attachment; filename="calls.xlsx"')
    assert [tuple(row) for row in sheet.values] == [("number", "sum"), ("013800000001", -1.5), ("=1+1", None)]


def test_a_workbook_reads_no_more_than_it_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "WORKBOOK_ROWS", 3)
    endless = ([str(number)] for number in count())

    assert rows_file(ROWS, name="calls", kind="xlsx").status_code == 200
    with pytest.raises(TooLarge):
        rows_file(endless, name="calls", kind="xlsx")
    assert next(endless) == ["4"]
    with pytest.raises(Malformed):
        rows_file(ROWS, name="calls", kind="pdf")
