"""One box against eight at a time: see _overlap.h."""

from libc.stdint cimport int32_t


cdef extern from "_overlap.h" nogil:
    ctypedef struct boxes8:
        float x1[8]
        float y1[8]
        float x2[8]
        float y2[8]
        float area[8]
        int32_t used
        int32_t older
    int overlapping(const boxes8* kept, float x1, float y1, float x2, float y2, float area, float threshold)
