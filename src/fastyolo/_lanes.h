/* Eight pixel values side by side: SSE2 on x86-64, NEON on aarch64, plain C elsewhere. Every variant gives the same bits.

   A value is a pixel with 7 fractional bits, 0..32640; a weight has 15, 0..32767. The product is rounded down. */
#ifndef FASTYOLO_LANES_H
#define FASTYOLO_LANES_H

#include <stdint.h>
#include <string.h>

/* Rows that nothing else points into: so many arrays of one type in a loop would else keep it from being vectorised. */
typedef unsigned char *__restrict__ own_bytes;
typedef int16_t *__restrict__ own_int16;
typedef uint16_t *__restrict__ own_uint16;

#if defined(__SSE2__) && !defined(FASTYOLO_PLAIN_LANES)
#include <emmintrin.h>

typedef __m128i lanes;

static inline lanes lanes_fill(int16_t weight) { return _mm_set1_epi16(weight); }

/* Eight bytes times one weight each. x86 has only a 16-bit unsigned product: (pixel << 8) * weight >> 16. */
static inline lanes lanes_weigh_pixels(const unsigned char *pixels, lanes weights)
{
    lanes wide = _mm_unpacklo_epi8(_mm_setzero_si128(), _mm_loadl_epi64((const __m128i *)pixels));
    return _mm_mulhi_epu16(wide, weights);
}

/* What a table for lanes_weigh holds: here twice the weight, for the same reason. */
static inline int16_t lanes_entry(int16_t weight) { return (int16_t)(uint16_t)(2 * weight); }

static inline lanes lanes_weigh(lanes values, const int16_t *entries)
{
    return _mm_mulhi_epu16(values, _mm_loadu_si128((const __m128i *)entries));
}

static inline lanes lanes_add(lanes a, lanes b) { return _mm_add_epi16(a, b); }

static inline lanes lanes_drop3(lanes values) { return _mm_srli_si128(values, 6); }

static inline lanes lanes_drop4(lanes values) { return _mm_srli_si128(values, 8); }

/* The first three in reverse order; the fourth stays. */
static inline lanes lanes_reverse3(lanes values) { return _mm_shufflelo_epi16(values, _MM_SHUFFLE(3, 0, 1, 2)); }

static inline void lanes_store4(int16_t *target, lanes values) { _mm_storel_epi64((__m128i *)target, values); }

#elif defined(__aarch64__) && !defined(FASTYOLO_PLAIN_LANES)
#include <arm_neon.h>

typedef int16x8_t lanes;

static inline lanes lanes_fill(int16_t weight) { return vdupq_n_s16(weight); }

static inline lanes lanes_weigh_pixels(const unsigned char *pixels, lanes weights)
{
    return vqdmulhq_s16(vreinterpretq_s16_u16(vshll_n_u8(vld1_u8(pixels), 7)), weights);
}

static inline int16_t lanes_entry(int16_t weight) { return weight; }

static inline lanes lanes_weigh(lanes values, const int16_t *entries) { return vqdmulhq_s16(values, vld1q_s16(entries)); }

static inline lanes lanes_add(lanes a, lanes b) { return vaddq_s16(a, b); }

static inline lanes lanes_drop3(lanes values) { return vextq_s16(values, values, 3); }

static inline lanes lanes_drop4(lanes values) { return vextq_s16(values, values, 4); }

static inline lanes lanes_reverse3(lanes values)
{
    int16x8_t reversed = vrev64q_s16(values);
    return vextq_s16(reversed, reversed, 1);
}

static inline void lanes_store4(int16_t *target, lanes values) { vst1_s16(target, vget_low_s16(values)); }

#else

typedef struct { int16_t of[8]; } lanes;

static inline lanes lanes_fill(int16_t weight)
{
    lanes filled;
    for (int lane = 0; lane < 8; lane++) filled.of[lane] = weight;
    return filled;
}

static inline lanes lanes_weigh_pixels(const unsigned char *pixels, lanes weights)
{
    for (int lane = 0; lane < 8; lane++) weights.of[lane] = (int16_t)((pixels[lane] << 7) * weights.of[lane] >> 15);
    return weights;
}

static inline int16_t lanes_entry(int16_t weight) { return weight; }

static inline lanes lanes_weigh(lanes values, const int16_t *entries)
{
    for (int lane = 0; lane < 8; lane++) values.of[lane] = (int16_t)(values.of[lane] * entries[lane] >> 15);
    return values;
}

static inline lanes lanes_add(lanes a, lanes b)
{
    for (int lane = 0; lane < 8; lane++) a.of[lane] = (int16_t)(a.of[lane] + b.of[lane]);
    return a;
}

static inline lanes lanes_drop(lanes values, int count)
{
    lanes rest = lanes_fill(0);
    memcpy(rest.of, values.of + count, (size_t)(8 - count) * sizeof(int16_t));
    return rest;
}

static inline lanes lanes_drop3(lanes values) { return lanes_drop(values, 3); }

static inline lanes lanes_drop4(lanes values) { return lanes_drop(values, 4); }

static inline lanes lanes_reverse3(lanes values)
{
    int16_t first = values.of[0];
    values.of[0] = values.of[2];
    values.of[2] = first;
    return values;
}

static inline void lanes_store4(int16_t *target, lanes values) { memcpy(target, values.of, 4 * sizeof(int16_t)); }

#endif
#endif
