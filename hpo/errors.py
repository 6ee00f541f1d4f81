"""All exceptions of hpo. A message explains what is wrong, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


class HpoError(Exception):
    """A failure that is not the user's mistake; the CLI prints it and exits with 1."""

    exit_code = 1


class UserError(HpoError):
    """A mistake in the user's input; the CLI prints it and exits with 2."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a study file: where it is, what is wrong and what would be right."""

    message: str
    key: str = ""
    line: int | None = None
    hint: str = ""
    source: str = ""
    """Where it comes from, if not from the file itself (``--set lr=fast``)."""


class StudyFileError(UserError):
    """A study file with mistakes; lists all of them."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        noun = "mistake" if len(problems) == 1 else "mistakes"
        super().__init__(f"{len(problems)} {noun} in the study {source}\n{self._listing()}")

    def _listing(self) -> str:
        return "\n".join(_problem_line(self.source, problem) for problem in self.problems)


def _problem_line(source: str, problem: Problem) -> str:
    place = problem.source or (source if problem.line is None else f"{source}:{problem.line}")
    key = f" {problem.key}:" if problem.key else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"  {place}:{key} {problem.message}{hint}"


class ConfigurationError(UserError):
    """A configuration that cannot be trained."""


class UnknownStudyError(UserError):
    """No study of that name or file; the message lists the known ones."""


class StoppedStudyError(UserError):
    """A study that `hpo stop` stopped and that was not resumed."""


class StudyChangedError(UserError):
    """The study file or the data set differs from the one that the study was created with."""


class DataError(UserError):
    """A data set that is missing, damaged or unusable; the message names the file and how to get it."""


class DeviceError(UserError):
    """A device or precision that this machine does not support."""


class OutOfMemoryError(HpoError):
    """A trial needs more memory than the device has; the message names its batch size and width."""


class StorageError(HpoError):
    """The database cannot be reached, read or written; ``passes`` is true if a retry may succeed."""

    def __init__(self, message: str, passes: bool = False) -> None:
        self.passes = passes
        super().__init__(message)


class DatabaseTakenError(StorageError):
    """The database was deleted, moved, replaced or emptied while it was in use."""


class StorageUrlError(UserError):
    """A storage URL that is malformed or names an engine that is not supported."""


class QueryError(UserError):
    """SQL that is invalid or not allowed here (`hpo query` only reads)."""


class StudyExportError(UserError):
    """A study that cannot be exported or imported, such as a damaged or altered file."""


class ExportedFolderError(UserError):
    """An exported network's folder that is incomplete, damaged or of another version."""


class ExportError(HpoError):
    """A trial that cannot be exported as it was recorded."""


class LeaseLostError(HpoError):
    """Another worker may hold the slot now; this one abandons the trial quietly."""


class CheckpointError(HpoError):
    """A damaged checkpoint, or one of another version; the one before it is used."""


class ArtifactError(HpoError):
    """Stored weights that are damaged, or were written by a newer version of hpo."""


class FailingStudyError(HpoError):
    """Too many trials of a study failed in a row."""


class WorkerError(HpoError):
    """A local worker process died or could not be started."""
