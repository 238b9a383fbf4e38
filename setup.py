"""Builds the two kernels. FASTYOLO_BUILD chooses how: release (default), debug, asan or coverage."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("FASTYOLO_BUILD", "release")

# -ffp-contract=off: fused multiply-add would change the last bits from board to board.
# Never -ffast-math: it makes isnan() constant and changes the floating-point mode of the whole process.
COMPILE_ARGS = {
    "release": ["-O3", "-g0", "-ffp-contract=off"],
    "debug": ["-O1", "-g", "-ffp-contract=off"],
    "asan": ["-O1", "-g", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
    "coverage": ["-O0", "-g", "-ffp-contract=off"],
}
LINK_ARGS = {"release": ["-Wl,-s"], "asan": ["-fsanitize=address,undefined"]}
if MODE not in COMPILE_ARGS:
    raise SystemExit(f"FASTYOLO_BUILD must be one of {', '.join(COMPILE_ARGS)}, got {MODE!r}")

CHECKED = MODE == "debug"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": not CHECKED,
    "overflowcheck": CHECKED,
    "linetrace": MODE == "coverage",
    "auto_pickle": False,
}
MACROS = [("CYTHON_TRACE_NOGIL", "1")] if MODE == "coverage" else []

EXTENSIONS = [
    Extension(
        f"fastyolo.{name}",
        [f"src/fastyolo/{name}.pyx"],
        extra_compile_args=COMPILE_ARGS[MODE],
        extra_link_args=LINK_ARGS.get(MODE, []),
        define_macros=MACROS,
    )
    for name in ("_postprocess", "_preprocess")
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        # Changed directives alone do not make Cython regenerate the .c files.
        force=True,
    )
)
