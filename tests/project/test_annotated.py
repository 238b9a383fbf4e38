"""`cython -a` of both kernels: no Python inside a loop, nor anywhere that runs without the GIL."""

from __future__ import annotations

import pytest

from annotated import Line, annotate
from places import REPOSITORY

pytestmark = pytest.mark.slow

KERNELS = ("postprocess", "preprocess")

# What may stand in a loop at the door: taking hold of the memory of a frame's arrays, letting go, and after millions of
# comparisons a look at signals.
AT_THE_DOOR = ("PyObject_GetBuffer", "PyBuffer_Release", "PyErr_CheckSignals")
# What runs once, or when the arrays are of another kind than before, or has to allocate; not with every frame.
NOT_EVERY_FRAME = ("__dealloc__", "_describe_planes", "_follow", "_find_terms")

BROKEN = """

cdef void _speaks_while_it_scans(Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(count):
        with gil:
            print(index)


cdef Py_ssize_t _counts_objects(list objects):
    cdef Py_ssize_t count = 0
    while count < 10:
        count += len(objects[count])
    return count


def _adds_boxed_numbers(numbers):
    total = 0
    for number in numbers:
        total = total + number
    return total
"""


BROKEN_FUNCTIONS = {"_speaks_while_it_scans", "_counts_objects", "_adds_boxed_numbers"}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Line]]:
    """The kernels, and after each what must be found."""
    return annotate(REPOSITORY, tmp_path_factory.mktemp("annotated"), appended=BROKEN)


@pytest.fixture(scope="module")
def kernels(annotated: dict[str, list[Line]]) -> dict[str, list[Line]]:
    """The kernels alone."""
    return {
        kernel: [line for line in lines if line.function not in BROKEN_FUNCTIONS] for kernel, lines in annotated.items()
    }


def with_python(lines: list[Line]) -> list[Line]:
    """Lines that need Python although they run without the GIL or in a loop."""
    return [line for line in lines if line.score and _is_inside(line)]


def _is_inside(line: Line) -> bool:
    if any(call in line.text for call in AT_THE_DOOR) or line.function in NOT_EVERY_FRAME:
        return False
    # Once for each call, the report books the cost of giving the GIL away and taking it back on this line.
    return line.in_loop or (line.nogil and line.text.strip() != "with nogil:")


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_line_of_a_loop_needs_python(kernels: dict[str, list[Line]], kernel: str) -> None:
    assert [str(line) for line in with_python(kernels[kernel])] == []


@pytest.mark.parametrize(
    ("kernel", "functions"),
    [
        (
            "postprocess",
            {"_scan", "_add_box", "_add_classes", "_decode_boxes", "_make_room", "_select", "_is_suppressed"},
        ),
        (
            "preprocess",
            {
                "_resize_packed",
                "_blend_column",
                "_gather_chroma",
                "_blend_colors",
                "_blend_pixels",
                "_store_row",
                "_pad",
            },
        ),
    ],
)
def test_all_the_work_is_among_the_lines_looked_at(
    kernels: dict[str, list[Line]], kernel: str, functions: set[str]
) -> None:
    lines = kernels[kernel]
    assert functions <= {line.function for line in lines if line.nogil}
    assert sum(line.in_loop for line in lines) > 30
    assert any(line.score for line in lines), "a kernel has a door, and there the report is yellow"


def test_python_in_a_loop_is_found(annotated: dict[str, list[Line]]) -> None:
    for kernel in KERNELS:
        found = {(line.function, line.text.strip()) for line in with_python(annotated[kernel])}
        assert ("_speaks_while_it_scans", "print(index)") in found
        assert ("_counts_objects", "count += len(objects[count])") in found
        assert ("_adds_boxed_numbers", "total = total + number") in found
        assert {function for function, _ in found} == BROKEN_FUNCTIONS
