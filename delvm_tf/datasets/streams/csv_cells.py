"""What a cell of a .csv file may say."""

import re

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
DATE = re.compile(r"\s*(\d{4}-\d\d-\d\d([ T]\S*)?|\d\d:\d\d(:\S*)?)\s*", re.ASCII)
BOOLEANS = {"True": "1", "true": "1", "TRUE": "1", "False": "0", "false": "0", "FALSE": "0"}
# What pandas, R, SQL and people write for a missing value.
MISSING = {
    "", "?", "-", "--", ".", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan",
    "-NaN", "NAN", "NaT", "NULL", "null", "None", "none",
}  # fmt: skip
