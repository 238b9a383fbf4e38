"""Which of many values reach a gate: see _search.h."""

from libc.stdint cimport uint64_t


cdef extern from "_search.h" nogil:
    ctypedef uint64_t hits
    int hits_first(hits found)
    hits hits_int8(const signed char* values, signed char gate)
    hits hits_uint8(const unsigned char* values, unsigned char gate)
    hits hits_float(const float* values, float gate)
    int any16_float(const float* values, Py_ssize_t step, float gate)
    int any16_int8(const signed char* values, Py_ssize_t step, signed char gate)
    int any16_uint8(const unsigned char* values, Py_ssize_t step, unsigned char gate)
    float highest_float(const float* values, Py_ssize_t count)
    signed char highest_int8(const signed char* values, Py_ssize_t count)
    unsigned char highest_uint8(const unsigned char* values, Py_ssize_t count)
