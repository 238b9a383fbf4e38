"""Decoding inside NNStreamer's pipelines: a script for ``tensor_filter framework=python3``, and what it does."""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).with_name("script") / "fastyolo_nnstreamer.py"
"""What ``tensor_filter framework=python3 model=...`` takes."""
