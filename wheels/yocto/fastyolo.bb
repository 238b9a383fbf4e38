# A recipe for fastyolo in a Yocto image, to be copied to recipes-devtools/python/ of a layer of your own.
#
# NOT TESTED: it was written without a Yocto build at hand. What it relies on is tested: the sdist that `make wheels`
# leaves in dist/ builds with nothing but setuptools and Cython (wheels/build.py), and the same code was cross-compiled
# for aarch64 and run under emulation (make test-aarch64). Check above all the Cython of your release: it must be 3.1 or
# later, and Kirkstone's is 0.29, so there the ready-made wheel is the easier way (README, "On the board").

SUMMARY = "YOLOv4-tiny on NXP i.MX boards: box decoding and NMS compiled to C"
LICENSE = "MIT & PD"
LIC_FILES_CHKSUM = " \
    file://LICENSE;md5=8c531474570ef9fcb967e004520485b9 \
    file://src/fastyolo/models/LICENSE.darknet;md5=bbaa425c12d95613310fa05eface4ca2 \
"

# The sdist beside this recipe, in a folder called files/.
SRC_URI = "file://fastyolo-${PV}.tar.gz"
S = "${WORKDIR}/fastyolo-${PV}"
PV = "0.1.0"

inherit python_setuptools_build_meta

DEPENDS += "python3-cython-native"

# tensorflow-lite is NXP's (meta-imx): it brings tflite_runtime and the delegates of the NPU. Its Python module has to be
# in the image; other layers call the package differently.
RDEPENDS:${PN} += " \
    python3-core \
    python3-numpy \
    python3-pillow \
    python3-typer \
    tensorflow-lite \
"

# -O3, -ffp-contract=off and the like come from setup.py; the machine's tuning from TUNE_CCARGS. Do not add -ffast-math.
