"""Vectors of eight pixel values: see _lanes.h."""

from libc.stdint cimport int16_t, uint16_t


cdef extern from "_lanes.h" nogil:
    ctypedef unsigned char* own_bytes
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
    lanes lanes_load(const int16_t* source)
    void lanes_store(int16_t* target, lanes values)
    void lanes_load_pairs(const uint16_t* source, lanes* even, lanes* odd)
    lanes lanes_choose(lanes mask, lanes chosen, lanes other)
    lanes lanes_low_bytes(lanes pairs)
    lanes lanes_high_bytes(lanes pairs)
    lanes lanes_from_bytes(lanes values)
    lanes lanes_above(lanes values, lanes zero)
    lanes lanes_weigh_luma(lanes values, lanes weight)
    lanes lanes_weigh_chroma(lanes values, lanes weight)
    lanes lanes_limit(lanes values, lanes highest)
    lanes lanes_blend(lanes a, lanes b, lanes weights)
    lanes lanes_raise2(lanes values)
    void lanes_store_pixels(unsigned char* target, lanes red, lanes green, lanes blue, unsigned char flip)
    lanes lanes_weigh_colors(const int16_t* pixels, int16_t first, int16_t second, int16_t third)
    void lanes_store_bytes(unsigned char* target, lanes values, unsigned char flip)
