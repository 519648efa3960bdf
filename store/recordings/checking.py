"""What `store check` says of recordings: files that are missing, were changed, or have no row. It changes nothing."""

from __future__ import annotations

from model.clock import Clock
from model.seams import Problem
from store.kept_file import KeptFile
from store.recordings.files import SegmentFiles
from store.recordings.names import PART, named

#: A file without a row is no fault for so long: its row is on its way.
SETTLE_S = 300.0


def check_files(
    file: KeptFile, files: SegmentFiles, clock: Clock, *, max_problems: int, read_bytes: bool
) -> list[Problem]:
    """Problems of the files, `max_problems` at most; with `read_bytes` every file is read and its SHA-256 compared."""
    problems: list[Problem] = []
    for segment_id, name, size_bytes, sha256 in file.rows(
        "SELECT 'R' || number, file, size_bytes, sha256 FROM segment WHERE deleting = 0 ORDER BY number"
    ):
        if len(problems) >= max_problems:
            return problems
        fault = _fault(files, name, size_bytes, sha256, read_bytes=read_bytes)
        # whoever looks at a running store may be overtaken by its retention
        if fault and file.rows("SELECT 1 FROM segment WHERE file = ? AND deleting = 0", (name,)):
            place = f"recordings/{name[:100]}"
            problems.append(Problem(place, f"{segment_id}: {fault}", "Restore the file from a back-up."))
    return problems + _unnamed(file, files, clock, max_problems - len(problems))


def names_with_row(file: KeptFile, day: str) -> set[str]:
    """Files of a day's folder that have a row."""
    rows = file.rows("SELECT file FROM segment WHERE file > ? AND file < ?", (f"{day}/", f"{day}0"))
    return {name for (name,) in rows}


def _fault(files: SegmentFiles, name: str, size_bytes: int, sha256: str, *, read_bytes: bool) -> str:
    if named(name) is None:
        return "the row names no file of ours"
    found = files.size(name)
    if found is None:
        return "the file is missing"
    if found != size_bytes:
        return "the file was changed: it has another size"
    return files.fault(name, size_bytes, sha256) if read_bytes else ""


def _unnamed(file: KeptFile, files: SegmentFiles, clock: Clock, limit: int) -> list[Problem]:
    """Files without a row that nobody has written to for a while."""
    problems: list[Problem] = []
    now_ms = clock.now_ms()
    for day in files.days():
        names = files.names(day)
        known = names_with_row(file, day)  # after the names: what was entered meanwhile is known
        for name in names:
            if len(problems) >= limit:
                return problems
            if name not in known and files.age_s(name, now_ms) > SETTLE_S:
                what = "it was cut off before it was entered" if name.endswith(PART) else "no row names this file"
                mend = "The next start of the service enters it; what it leaves there cannot be played: delete it."
                problems.append(Problem(f"recordings/{name[:100]}", what, mend))
    return problems
