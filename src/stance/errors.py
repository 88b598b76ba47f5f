"""The errors that a caller may want to tell apart.

Every message is one line that says what is wrong and what to do: the command line prints it as is.
"""


class StanceError(Exception):
    """Base of all errors that `stance` raises on purpose."""

    exit_status = 1


class InputError(StanceError):
    """A text to read is missing, empty, binary or not UTF-8."""


class BundleError(StanceError):
    """A model bundle is missing, incomplete, altered or of another format."""


class ConfigError(StanceError):
    """A training configuration has an unknown key, a bad value or a contradiction."""


class DataError(StanceError):
    """Labelled data breaks the scheme; the message names file and line."""


class Interrupted(StanceError):  # noqa: N818 - not a failure
    """The user stopped long work; what was done is kept, and the message says how to go on."""

    exit_status = 130
