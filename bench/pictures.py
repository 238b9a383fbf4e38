"""Where the benchmark's pictures come from: a folder, or the sample pictures that some packages carry."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastyolo.frames.picture import load_image

Image = npt.NDArray[np.uint8]
MAX_PICTURES = 64

PACKAGED = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "public domain, U.S. Navy"),
    ("skimage", "data/astronaut.png", "public domain, NASA"),
    ("skimage", "data/rocket.jpg", "public domain, SpaceX"),
    ("skimage", "data/coffee.png", "CC0, Rachel Michetti"),
    ("skimage", "data/chelsea.png", "CC0, Stefan van der Walt"),
    ("sklearn", "datasets/images/china.jpg", "CC BY 2.0, danielbuechele on Flickr"),
    ("sklearn", "datasets/images/flower.jpg", "CC BY 2.0, vultilion on Flickr"),
)
"""Import name of the package, file in it, licence."""


def from_folder(folder: Path) -> tuple[list[Image], str]:
    """The first JPEG files by name, and a sentence about them."""
    paths = sorted(folder.glob("*.jpg"))[:MAX_PICTURES]
    if len(paths) < 32:
        raise SystemExit(f"--images needs a folder with at least 32 .jpg files, got {len(paths)} in {folder}")
    return [load_image(path) for path in paths], f"{len(paths)} JPEG pictures of {folder.name}"


def from_packages() -> tuple[list[Image], str]:
    """Seven pictures, each whole, mirrored, and in three cuts; and a sentence about them."""
    frames = []
    for package, name, _ in PACKAGED:
        image = load_image(_path(package, name))
        height, width = image.shape[:2]
        quarter_y, quarter_x = height // 4, width // 4
        frames += [
            image,
            image[:, ::-1],
            image[:, : 3 * quarter_x],
            image[:, quarter_x:],
            image[quarter_y // 2 : height - quarter_y, quarter_x // 2 : width - quarter_x],
        ]
    said = (
        f"{len(frames)} frames: {len(PACKAGED)} pictures of matplotlib, scikit-image and scikit-learn, and cuts of them"
    )
    return [np.ascontiguousarray(frame) for frame in frames], said


def jpeg_files(folder: Path | None, size: tuple[int, int]) -> list[Path]:
    """JPEG files of (height, width) `size`: of the folder, or scikit-learn's two."""
    from PIL import Image as PillowImage

    if folder is None:
        paths = [_path(package, name) for package, name, _ in PACKAGED if package == "sklearn"]
    else:
        paths = sorted(folder.glob("*.jpg"))
    fitting = []
    for path in paths:
        with PillowImage.open(path) as picture:
            # A grey picture of this size would be another work load.
            if picture.size == size[::-1] and picture.mode == "RGB":
                fitting.append(path)
    return fitting[:32]


def _path(package: str, name: str) -> Path:
    # Not imported: that would load half of SciPy for one file.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the default pictures need {package}: run `make bench`, or pass --images")
    return Path(spec.submodule_search_locations[0]) / name
