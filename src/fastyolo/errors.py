"""What can go wrong, as one family: ``except fastyolo.FastYoloError`` catches everything fastyolo raises on purpose."""

from __future__ import annotations

from fastyolo.texts import one_line


class FastYoloError(Exception):
    """Base of every error fastyolo raises. The message is one line: what was expected, what came, what to do."""

    def __str__(self) -> str:
        # Messages quote files and models of others: here, once, they become harmless to whatever prints them.
        return one_line(super().__str__())


class OptionError(FastYoloError, ValueError):
    """An option or argument outside its domain, such as a score threshold of 1.5."""


class HeadError(FastYoloError, ValueError):
    """Network outputs whose count, shape, dtype or quantisation does not match the `ModelSpec`."""


class SpecError(FastYoloError, ValueError):
    """A description of a network (ModelSpec, .cfg, metadata, class names) that cannot be right."""


class ModelError(FastYoloError):
    """A model file that cannot be read, or whose tensors fastyolo cannot drive."""


class RuntimeUnavailableError(FastYoloError):
    """No usable TFLite runtime, or a delegate that cannot be loaded."""


class ImageError(FastYoloError):
    """A picture that is missing, unreadable, too large, or of the wrong layout."""


class DecoderBusyError(FastYoloError, RuntimeError):
    """One `Decoder` was entered by a second thread while the first was still inside."""


class ExportError(FastYoloError):
    """A Darknet network that cannot be turned into a TFLite file."""


class EvaluationError(FastYoloError):
    """Annotated pictures that cannot be scored: a damaged annotation file, missing pictures, unmatched classes."""
