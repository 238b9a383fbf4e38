"""Vectors of eight pixel values: see _lanes.h."""

from libc.stdint cimport int16_t, uint16_t


cdef extern from "_lanes.h" nogil:
    ctypedef unsigned char* own_bytes
    ctypedef int16_t* own_int16
    ctypedef uint16_t* own_uint16
    ctypedef struct lanes:
        pass
    lanes lanes_fill(int16_t weight)
    lanes lanes_weigh_pixels(const unsigned char* pixels, lanes weights)
    int16_t lanes_entry(int16_t weight)
    lanes lanes_weigh(lanes values, const int16_t* entries)
    lanes lanes_add(lanes a, lanes b)
    lanes lanes_drop3(lanes values)
    lanes lanes_drop4(lanes values)
    lanes lanes_reverse3(lanes values)
    void lanes_store4(int16_t* target, lanes values)
