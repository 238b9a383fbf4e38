"""One box against four at a time: see _overlap.h."""

from libc.stdint cimport int32_t


cdef extern from "_overlap.h" nogil:
    ctypedef struct boxes4:
        float x1[4]
        float y1[4]
        float x2[4]
        float y2[4]
        float area[4]
        int32_t used
        int32_t older
    int overlapping(const boxes4* four, float x1, float y1, float x2, float y2, float area, float threshold)
