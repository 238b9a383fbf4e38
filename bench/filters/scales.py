"""What decoding a 12-megapixel JPEG costs at each of libjpeg's scales. See README.md."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import thread_time

from PIL import Image

WIDTH, HEIGHT = 4000, 3000
SCALES = (1, 2, 4, 8)
QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("FASTYOLO_COCO", "../shared/coco")) / "val2017"
    parser.add_argument("--images", type=Path, default=default, help="JPEG pictures to make the photos of")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    paths = sorted(options.images.glob("*.jpg"))
    print("| photo | MB | " + " | ".join(f"1/{scale}" for scale in SCALES) + " |")
    print("| --- |" + " --- |" * (len(SCALES) + 1))
    for name, photo in (("detailed", mosaic(paths)), ("soft", enlarged(paths[0]))):
        for progressive in (False, True):
            data = encoded(photo, progressive)
            times = [f"{milliseconds(data, scale, options.runs):.0f} ms" for scale in SCALES]
            kind = f"{name}, {'progressive' if progressive else 'baseline'}"
            print(f"| {kind} | {len(data) / 1e6:.1f} | {' | '.join(times)} |")


def mosaic(paths: Sequence[Path]) -> Image.Image:
    """Many pictures side by side: as much detail in a pixel as small pictures have, the most a camera may give."""
    photo = Image.new("RGB", (WIDTH, HEIGHT))
    places = [(x, y) for y in range(0, HEIGHT, 400) for x in range(0, WIDTH, 400)]
    for index, place in enumerate(places):
        with Image.open(paths[index % len(paths)]) as picture:
            photo.paste(picture.convert("RGB"), place)
    return photo


def enlarged(path: Path) -> Image.Image:
    """One picture drawn large: as soft as a camera's pixels are at the least."""
    with Image.open(path) as picture:
        return picture.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def encoded(photo: Image.Image, progressive: bool) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY, progressive=progressive)
    return buffer.getvalue()


def milliseconds(data: bytes, scale: int, runs: int) -> float:
    """Median processor time of opening and decoding."""
    times = []
    for _ in range(runs):
        started = thread_time()
        image = Image.open(io.BytesIO(data))
        image.draft(None, (WIDTH // scale, HEIGHT // scale))
        image.load()
        times.append(1e3 * (thread_time() - started))
        assert image.size == (WIDTH // scale, HEIGHT // scale)
    return median(times)


if __name__ == "__main__":
    main()
