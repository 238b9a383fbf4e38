"""Builds the two kernels. FASTYOLO_BUILD chooses how: release (default), profile, debug, asan or coverage.

FASTYOLO_ABI3=1 builds them against Python's stable ABI, so that one wheel serves Python 3.11 and every later one.
"""

import os
import shutil
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("FASTYOLO_BUILD", "release")

# -funroll-loops: in-order cores need several independent chains at once, and loops that gather are mostly overhead.
# -ffp-contract=off: fused multiply-add would change the last bits from board to board.
# -fno-trapping-math: nobody reads the floating-point status flags, and minding them keeps clamps out of vectors.
# Never -ffast-math: it makes isnan() constant and changes the floating-point mode of the whole process.
RELEASE = ["-O3", "-funroll-loops", "-ffp-contract=off", "-fno-trapping-math"]
COMPILE_ARGS = {
    "release": [*RELEASE, "-g0"],
    "profile": [*RELEASE, "-g"],
    "debug": ["-O1", "-g", "-ffp-contract=off"],
    "asan": ["-O1", "-g", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
    "coverage": ["-O0", "-g", "-ffp-contract=off"],
}
LINK_ARGS = {"release": ["-Wl,-s"], "asan": ["-fsanitize=address,undefined"]}
# 3.11 is the first whose stable ABI has the buffer protocol, which is how the kernels see arrays.
ABI3_TAG, ABI3_VERSION = "cp311", "0x030B0000"
ABI3 = os.environ.get("FASTYOLO_ABI3", "0")

if MODE not in COMPILE_ARGS:
    raise SystemExit(f"FASTYOLO_BUILD must be one of {', '.join(COMPILE_ARGS)}, got {MODE!r}")
if ABI3 not in ("0", "1"):
    raise SystemExit(f"FASTYOLO_ABI3 must be 0 or 1, got {ABI3!r}")
if ABI3 == "1" and sysconfig.get_config_var("Py_GIL_DISABLED"):
    raise SystemExit("FASTYOLO_ABI3=1 needs a Python with the GIL: free-threaded ones have no stable ABI")

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
    # Calls share nothing but what `Decoder` and `Detector` lock. Has no effect with FASTYOLO_ABI3.
    "freethreading_compatible": True,
}
MACROS = [("CYTHON_TRACE_NOGIL", "1")] if MODE == "coverage" else []
if CHECKED:
    MACROS.append(("FASTYOLO_PLAIN_LANES", "1"))  # so that the variant without SSE2 and NEON is tested too
if ABI3 == "1":
    MACROS.append(("Py_LIMITED_API", ABI3_VERSION))

EXTENSIONS = [
    Extension(
        f"fastyolo.kernels.{name}",
        [f"src/fastyolo/kernels/{name}.pyx"],
        extra_compile_args=COMPILE_ARGS[MODE],
        extra_link_args=LINK_ARGS.get(MODE, []),
        # Not left to the interpreter's own libm: only so do these symbols carry the version that a wheel's tag states.
        libraries=["m"],
        define_macros=MACROS,
        py_limited_api=ABI3 == "1",
    )
    for name in ("postprocess", "preprocess")
]

# Setuptools packs whatever an earlier build left in this folder: another variant, or modules that have moved since.
BUILD_BASE = f"build/setuptools/{MODE}{'-abi3' if ABI3 == '1' else ''}"
shutil.rmtree(BUILD_BASE, ignore_errors=True)

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        # Changed directives alone do not make Cython regenerate the .c files.
        force=True,
    ),
    options={
        "build": {"build_base": BUILD_BASE},
        "bdist_wheel": {"py_limited_api": ABI3_TAG} if ABI3 == "1" else {},
    },
)
