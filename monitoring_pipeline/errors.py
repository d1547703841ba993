"""Errors that a user can act on. Anything else that escapes is a defect of ours."""


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where (file, row, column), and what to do."""


class DeclarationError(UserError):
    """A monitor's YAML is wrong. One line per finding: ``file:line: field: what is wrong and what to write``."""


class SourceError(UserError):
    """A source cannot be read, or does not hold what the monitor declares."""


class WarehouseError(UserError):
    """Postgres cannot be reached or refuses the work."""


class WindowError(UserError):
    """One window cannot be processed; other windows of the same run go on."""
