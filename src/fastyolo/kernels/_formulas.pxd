"""Darknet's formulas for one term, and the raw values that a score demands. `postprocess.py` has their source."""

cimport cython
from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, fabs, logf
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcpy

cdef enum:
    # exp() of a size term stops here (7.9e13 anchors), so that areas and distances stay finite in float32.
    MAX_SIZE_TERM = 32

cdef enum HeadType:
    # What the terms of a head are; `spec.HEAD_TYPES` has the same order.
    DARKNET
    NEW_COORDS


cdef inline float exponential(float x) noexcept nogil:
    """e**x within 2e-7 relative; 0 < result, inf above 88.4. The same bits on every machine, unlike libm's expf.

    x = n ln 2 + r with |r| <= ln 2 / 2; 2**n is built from exponent bits, e**r is a Taylor polynomial.
    """
    cdef float magic = 12582912.0  # 1.5 * 2**23: adding it rounds to a whole number
    cdef float n, r, p, power
    cdef uint32_t bits
    x = x if x < <float>89.0 else <float>89.0  # NaN too becomes 89, so that it never reaches a cast
    x = x if x > <float>-87.0 else <float>-87.0
    n = x * <float>1.44269504 + magic
    n = n - magic
    # ln 2 in two parts: the first has so few bits that n times it is exact.
    r = x - n * <float>0.693359375
    r = r + n * <float>2.12194440e-4
    p = <float>(1.0 / 5040)
    p = p * r + <float>(1.0 / 720)
    p = p * r + <float>(1.0 / 120)
    p = p * r + <float>(1.0 / 24)
    p = p * r + <float>(1.0 / 6)
    p = p * r + <float>0.5
    p = p * r + <float>1.0
    p = p * r + <float>1.0
    bits = <uint32_t>(<int32_t>n + 127) << 23
    memcpy(&power, &bits, sizeof(power))
    return p * power


cdef inline float unit(float x, HeadType type) noexcept nogil:
    """What Darknet calls the activated term, in 0..1: sigmoid(x), or x itself where the network ends in sigmoids."""
    if type == NEW_COORDS:
        x = x if x > <float>0.0 else <float>0.0
        return x if x < <float>1.0 else <float>1.0
    return <float>1.0 / (<float>1.0 + exponential(-x))


cdef inline float size_in_anchors(float x, HeadType type) noexcept nogil:
    """Width or height in anchors."""
    cdef float doubled
    if type == NEW_COORDS:
        doubled = <float>2.0 * unit(x, NEW_COORDS)
        return doubled * doubled
    return exponential(limited_size_term(x))


cdef inline float limited_size_term(float x) noexcept nogil:
    return x if x < <float>MAX_SIZE_TERM else <float>MAX_SIZE_TERM


cdef inline float gate_of(double score, HeadType type) noexcept nogil:
    """The raw value below which no term can reach `score`: unit(x) >= score implies x >= gate_of(score).

    Some room below makes it safe against the last bits of exponential(): a gate may let through, never drop.
    """
    cdef double raw
    if score < FLT_MIN:
        return -INFINITY
    score = score * 0.999999
    if type == NEW_COORDS:
        return <float>score
    raw = logf(<float>(score / (1.0 - score)))
    return <float>(raw - 1e-5 * (1.0 + fabs(raw)))


@cython.cdivision(True)  # x / 0 is infinite here, in every build
cdef inline float quick_gate(float score, HeadType type) noexcept nogil:
    """A gate for `score` that lies up to 0.06 lower than need be, without a logarithm.

    Read as an integer, a float is a piecewise linear log2 that is nowhere above the true one.
    """
    cdef float odds
    cdef int32_t bits
    # Lowers the logit by 1e-5 / (1 - score) and so outweighs the rounding of 1 - score, 6e-8 / (1 - score), everywhere.
    score = score * <float>0.99999
    if type == NEW_COORDS:
        return score
    odds = score / (<float>1.0 - score)
    memcpy(&bits, &odds, sizeof(bits))
    return (<float>bits * <float>(1.0 / (1 << 23)) - <float>127.0001) * <float>0.6931472
