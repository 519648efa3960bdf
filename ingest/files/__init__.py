"""Files of points: data sets and our own csv, straight to columns."""

from ingest.files.formats import CSV_COLUMNS, FORMATS
from ingest.files.guessing import guess_format
from ingest.files.reader import FileBatch, FileReader, open_file

__all__ = ["CSV_COLUMNS", "FORMATS", "FileBatch", "FileReader", "guess_format", "open_file"]
