"""How pixels lie in memory: the `Frame`, the table of pixel formats, and pictures that become frames."""

from fastyolo.frames.colors import LAYOUTS, Color, YuvMatrix, YuvRange
from fastyolo.frames.frame import Extent, Frame, Pixels, view_frame

__all__ = ["LAYOUTS", "Color", "Extent", "Frame", "Pixels", "YuvMatrix", "YuvRange", "view_frame"]
