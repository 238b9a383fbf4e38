/* Which of many values reach a gate: SSE2 on x86-64, NEON on aarch64, plain C elsewhere. NaN never does. */
#ifndef FASTYOLO_SEARCH_H
#define FASTYOLO_SEARCH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* One bit for each of 16 values that reaches the gate, lowest first; `hits_first` says which value the lowest stands
   for, and `hits & (hits - 1)` takes it away. */
typedef uint64_t hits;

/* The highest of `highest` and `count` values; what is no number is none. Loops over whole vectors are not unrolled: for
   80 classes the preparations would cost more than the turns. */
#define FASTYOLO_HIGHER(name, type)                                                    \
    static inline type name(const type *values, ptrdiff_t count, type highest)         \
    {                                                                                  \
        for (ptrdiff_t index = 0; index < count; index++)                              \
            if (values[index] > highest) highest = values[index];                      \
        return highest;                                                                \
    }
FASTYOLO_HIGHER(higher_float, float)
FASTYOLO_HIGHER(higher_int8, signed char)
FASTYOLO_HIGHER(higher_uint8, unsigned char)

#if defined(__SSE2__) && !defined(FASTYOLO_PLAIN_LANES)
#include <emmintrin.h>

static inline int hits_first(hits found) { return __builtin_ctzll(found); }

static inline hits hits_int8(const signed char *values, signed char gate)
{
    __m128i below = _mm_cmpgt_epi8(_mm_set1_epi8(gate), _mm_loadu_si128((const __m128i *)values));
    return (hits)(_mm_movemask_epi8(below) ^ 0xFFFF);
}

static inline hits hits_uint8(const unsigned char *values, unsigned char gate)
{
    __m128i given = _mm_loadu_si128((const __m128i *)values);
    __m128i higher = _mm_max_epu8(given, _mm_set1_epi8((char)gate));
    return (hits)_mm_movemask_epi8(_mm_cmpeq_epi8(higher, given));
}

static inline __m128i reaching4(const float *values, __m128 gate)
{
    return _mm_castps_si128(_mm_cmpge_ps(_mm_loadu_ps(values), gate));
}

static inline hits hits_float(const float *values, float gate)
{
    __m128 gates = _mm_set1_ps(gate);
    __m128i first = _mm_packs_epi32(reaching4(values, gates), reaching4(values + 4, gates));
    __m128i second = _mm_packs_epi32(reaching4(values + 8, gates), reaching4(values + 12, gates));
    return (hits)_mm_movemask_epi8(_mm_packs_epi16(first, second));
}

static inline __m128 gather4(const float *values, ptrdiff_t step)
{
    __m128 first = _mm_unpacklo_ps(_mm_load_ss(values), _mm_load_ss(values + step));
    __m128 second = _mm_unpacklo_ps(_mm_load_ss(values + 2 * step), _mm_load_ss(values + 3 * step));
    return _mm_movelh_ps(first, second);
}

static inline int any16_float(const float *values, ptrdiff_t step, float gate)
{
    __m128 gates = _mm_set1_ps(gate);
    __m128 first = _mm_cmpge_ps(gather4(values, step), gates);
    __m128 second = _mm_cmpge_ps(gather4(values + 4 * step, step), gates);
    __m128 third = _mm_cmpge_ps(gather4(values + 8 * step, step), gates);
    __m128 fourth = _mm_cmpge_ps(gather4(values + 12 * step, step), gates);
    return _mm_movemask_ps(_mm_or_ps(_mm_or_ps(first, second), _mm_or_ps(third, fourth))) != 0;
}

/* maxps takes the second where either is NaN. */
static inline float highest_float(const float *values, ptrdiff_t count)
{
    __m128 a = _mm_set1_ps(-INFINITY), b = a, c = a, d = a;
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16) {
        a = _mm_max_ps(_mm_loadu_ps(values + index), a);
        b = _mm_max_ps(_mm_loadu_ps(values + index + 4), b);
        c = _mm_max_ps(_mm_loadu_ps(values + index + 8), c);
        d = _mm_max_ps(_mm_loadu_ps(values + index + 12), d);
    }
    a = _mm_max_ps(_mm_max_ps(a, b), _mm_max_ps(c, d));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    a = _mm_max_ss(a, _mm_shuffle_ps(a, a, 1));
    return higher_float(values + index, count - index, _mm_cvtss_f32(a));
}

/* Of 16 unsigned bytes; SSE2 has no signed maximum. */
static inline int highest_of16(__m128i values)
{
    values = _mm_max_epu8(values, _mm_srli_si128(values, 8));
    values = _mm_max_epu8(values, _mm_srli_si128(values, 4));
    values = _mm_max_epu8(values, _mm_srli_si128(values, 2));
    values = _mm_max_epu8(values, _mm_srli_si128(values, 1));
    return _mm_cvtsi128_si32(values) & 255;
}

static inline signed char highest_int8(const signed char *values, ptrdiff_t count)
{
    __m128i highest = _mm_setzero_si128(), flip = _mm_set1_epi8(-128);
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 32 <= count; index += 32) {
        __m128i first = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(values + index)), flip);
        __m128i second = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(values + index + 16)), flip);
        highest = _mm_max_epu8(highest, _mm_max_epu8(first, second));
    }
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16)
        highest = _mm_max_epu8(highest, _mm_xor_si128(_mm_loadu_si128((const __m128i *)(values + index)), flip));
    return higher_int8(values + index, count - index, (signed char)(highest_of16(highest) - 128));
}

static inline unsigned char highest_uint8(const unsigned char *values, ptrdiff_t count)
{
    __m128i highest = _mm_setzero_si128();
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16)
        highest = _mm_max_epu8(highest, _mm_loadu_si128((const __m128i *)(values + index)));
    return higher_uint8(values + index, count - index, (unsigned char)highest_of16(highest));
}

#elif defined(__aarch64__) && !defined(FASTYOLO_PLAIN_LANES)
#include <arm_neon.h>

static inline int hits_first(hits found) { return __builtin_ctzll(found) >> 2; }

/* 16 bytes of ones or zeros -> one bit each, four apart. */
static inline hits hits_of(uint8x16_t reaching)
{
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(reaching), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0) & 0x1111111111111111u;
}

static inline hits hits_int8(const signed char *values, signed char gate)
{
    return hits_of(vcgeq_s8(vld1q_s8(values), vdupq_n_s8(gate)));
}

static inline hits hits_uint8(const unsigned char *values, unsigned char gate)
{
    return hits_of(vcgeq_u8(vld1q_u8(values), vdupq_n_u8(gate)));
}

static inline uint16x8_t reaching8(const float *values, float32x4_t gate)
{
    uint32x4_t first = vcgeq_f32(vld1q_f32(values), gate);
    uint32x4_t second = vcgeq_f32(vld1q_f32(values + 4), gate);
    return vuzp1q_u16(vreinterpretq_u16_u32(first), vreinterpretq_u16_u32(second));
}

static inline hits hits_float(const float *values, float gate)
{
    float32x4_t gates = vdupq_n_f32(gate);
    uint8x16_t first = vreinterpretq_u8_u16(reaching8(values, gates));
    uint8x16_t second = vreinterpretq_u8_u16(reaching8(values + 8, gates));
    return hits_of(vuzp1q_u8(first, second));
}

/* fmaxf is one instruction here, and takes the number where the other is a quiet NaN. A signalling one comes out as
   NaN; the negated comparison then says yes, and the caller looks at each value. */
static inline float highest_of8(const float *values, ptrdiff_t step)
{
    float first = __builtin_fmaxf(values[0], values[step]);
    float second = __builtin_fmaxf(values[2 * step], values[3 * step]);
    float third = __builtin_fmaxf(values[4 * step], values[5 * step]);
    float fourth = __builtin_fmaxf(values[6 * step], values[7 * step]);
    return __builtin_fmaxf(__builtin_fmaxf(first, second), __builtin_fmaxf(third, fourth));
}

static inline int any16_float(const float *values, ptrdiff_t step, float gate)
{
    return !(__builtin_fmaxf(highest_of8(values, step), highest_of8(values + 8 * step, step)) < gate);
}

/* fmax hands a NaN on, and the values are then compared one by one. */
static inline float highest_float(const float *values, ptrdiff_t count)
{
    float32x4_t a = vdupq_n_f32(-INFINITY), b = a, c = a, d = a;
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16) {
        a = vmaxq_f32(a, vld1q_f32(values + index));
        b = vmaxq_f32(b, vld1q_f32(values + index + 4));
        c = vmaxq_f32(c, vld1q_f32(values + index + 8));
        d = vmaxq_f32(d, vld1q_f32(values + index + 12));
    }
    float highest = vmaxvq_f32(vmaxq_f32(vmaxq_f32(a, b), vmaxq_f32(c, d)));
    if (highest != highest) return higher_float(values, count, -INFINITY);
    return higher_float(values + index, count - index, highest);
}

static inline signed char highest_int8(const signed char *values, ptrdiff_t count)
{
    int8x16_t highest = vdupq_n_s8(-128);
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16) highest = vmaxq_s8(highest, vld1q_s8(values + index));
    return higher_int8(values + index, count - index, vmaxvq_s8(highest));
}

static inline unsigned char highest_uint8(const unsigned char *values, ptrdiff_t count)
{
    uint8x16_t highest = vdupq_n_u8(0);
    ptrdiff_t index = 0;
#pragma GCC unroll 1
    for (; index + 16 <= count; index += 16) highest = vmaxq_u8(highest, vld1q_u8(values + index));
    return higher_uint8(values + index, count - index, vmaxvq_u8(highest));
}

#else

static inline float highest_float(const float *values, ptrdiff_t count)
{
    return higher_float(values, count, -INFINITY);
}

static inline signed char highest_int8(const signed char *values, ptrdiff_t count)
{
    return higher_int8(values, count, -128);
}

static inline unsigned char highest_uint8(const unsigned char *values, ptrdiff_t count)
{
    return higher_uint8(values, count, 0);
}

static inline int hits_first(hits found) { return __builtin_ctzll(found); }

#define FASTYOLO_HITS(name, type)                                             \
    static inline hits name(const type *values, type gate)                    \
    {                                                                         \
        hits found = 0;                                                       \
        for (int index = 0; index < 16; index++)                              \
            found |= (hits)(values[index] >= gate) << index;                  \
        return found;                                                         \
    }
FASTYOLO_HITS(hits_int8, signed char)
FASTYOLO_HITS(hits_uint8, unsigned char)
FASTYOLO_HITS(hits_float, float)

static inline int any16_float(const float *values, ptrdiff_t step, float gate)
{
    int any = 0;
    for (int index = 0; index < 16; index++) any |= values[index * step] >= gate;
    return any;
}

#endif

/* Bytes need no vectors: the values are loaded before the first is compared, so that an in-order core waits once. What
   reaches the gate makes a difference negative, and the sign bit of them all is set if one's is. */
#define FASTYOLO_ANY16(name, type)                                              \
    static inline int name(const type *values, ptrdiff_t step, type gate)       \
    {                                                                           \
        int below = gate - 1, differences = 0, loaded[16];                      \
        for (int index = 0; index < 16; index++) loaded[index] = values[index * step]; \
        for (int index = 0; index < 16; index++) differences |= below - loaded[index]; \
        return differences < 0;                                                 \
    }
FASTYOLO_ANY16(any16_int8, signed char)
FASTYOLO_ANY16(any16_uint8, unsigned char)

#endif
