/* Eight pixel values side by side: SSE2 on x86-64, NEON on aarch64, plain C elsewhere. Every variant gives the same bits.

   Of packed pixels a value has 7 fractional bits, 0..32640. Of planes it has 5, and may lie outside 0..8160 until it is
   limited. A weight has 15, 0..32767; luma's has 14 and chroma's 13, signed. Products are rounded down. */
#ifndef FASTYOLO_LANES_H
#define FASTYOLO_LANES_H

#include <stdint.h>
#include <string.h>

/* Rows that nothing else points into, so that a loop over several is vectorised. */
typedef unsigned char *__restrict__ own_bytes;

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

static inline lanes lanes_load(const int16_t *source) { return _mm_loadu_si128((const __m128i *)source); }

static inline void lanes_store(int16_t *target, lanes values) { _mm_storeu_si128((__m128i *)target, values); }

/* 16 values -> those at even and those at odd places. */
static inline void lanes_load_pairs(const uint16_t *source, lanes *even, lanes *odd)
{
    __m128i first = _mm_loadu_si128((const __m128i *)source);
    __m128i second = _mm_loadu_si128((const __m128i *)(source + 8));
    *odd = _mm_packs_epi32(_mm_srai_epi32(first, 16), _mm_srai_epi32(second, 16));
    first = _mm_srai_epi32(_mm_slli_epi32(first, 16), 16);
    second = _mm_srai_epi32(_mm_slli_epi32(second, 16), 16);
    *even = _mm_packs_epi32(first, second);
}

/* The mask's lanes are all ones or all zeros. */
static inline lanes lanes_choose(lanes mask, lanes chosen, lanes other)
{
    return _mm_or_si128(_mm_and_si128(mask, chosen), _mm_andnot_si128(mask, other));
}

static inline lanes lanes_low_bytes(lanes pairs) { return _mm_and_si128(pairs, _mm_set1_epi16(255)); }

static inline lanes lanes_high_bytes(lanes pairs) { return _mm_srli_epi16(pairs, 8); }

/* Bytes -> values of a plane. */
static inline lanes lanes_from_bytes(lanes values) { return _mm_slli_epi16(values, 5); }

/* The difference, or 0 where it were negative. */
static inline lanes lanes_above(lanes values, lanes zero) { return _mm_subs_epu16(values, zero); }

/* Bytes -> values of a plane. */
static inline lanes lanes_weigh_luma(lanes values, lanes weight)
{
    return _mm_mulhi_epi16(_mm_slli_epi16(values, 7), weight);
}

/* The difference of bytes from 128 -> values of a plane. */
static inline lanes lanes_weigh_chroma(lanes values, lanes weight)
{
    return _mm_mulhi_epi16(_mm_xor_si128(_mm_slli_epi16(values, 8), _mm_set1_epi16(-32768)), weight);
}

static inline lanes lanes_limit(lanes values, lanes highest)
{
    return _mm_min_epi16(_mm_max_epi16(values, _mm_setzero_si128()), highest);
}

/* a + (b - a) * weight, for values of planes. */
static inline lanes lanes_blend(lanes a, lanes b, lanes weights)
{
    __m128i difference = _mm_sub_epi16(b, a);
    return _mm_add_epi16(a, _mm_mulhi_epi16(_mm_add_epi16(difference, difference), weights));
}

static inline lanes lanes_raise2(lanes values) { return _mm_slli_epi16(values, 2); }

static inline void store_four(unsigned char *target, __m128i quads)
{
    for (int pixel = 0; pixel < 4; pixel++) {
        int bytes = _mm_cvtsi128_si32(quads);
        memcpy(target + 3 * pixel, &bytes, pixel < 3 ? 4 : 3);
        quads = _mm_srli_si128(quads, 4);
    }
}

/* Eight limited values of each plane, rounded half up -> 24 bytes R G B, each with `flip` flipped. */
static inline void lanes_store_pixels(unsigned char *target, lanes red, lanes green, lanes blue, unsigned char flip)
{
    __m128i half = _mm_set1_epi16(16), flips = _mm_set1_epi8((char)flip);
    red = _mm_srli_epi16(_mm_add_epi16(red, half), 5);
    green = _mm_srli_epi16(_mm_add_epi16(green, half), 5);
    blue = _mm_xor_si128(_mm_srli_epi16(_mm_add_epi16(blue, half), 5), flips);
    red = _mm_xor_si128(_mm_or_si128(red, _mm_slli_epi16(green, 8)), flips);
    store_four(target, _mm_unpacklo_epi16(red, blue));
    store_four(target + 12, _mm_unpackhi_epi16(red, blue));
}

/* Three values of each of two pixels, whatever follows them, times `weights`, whose fourth is 0 -> two sums each. */
static inline __m128i weigh_two(const int16_t *pixels, __m128i weights, __m128i twos)
{
    __m128i pair = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)pixels), _mm_loadl_epi64((const __m128i *)(pixels + 3)));
    pair = _mm_add_epi16(pair, _mm_and_si128(_mm_cmpgt_epi16(pair, _mm_setzero_si128()), twos));
    return _mm_madd_epi16(pair, weights);
}

static inline __m128i weigh_four(const int16_t *pixels, __m128i weights, __m128i twos)
{
    __m128 first = _mm_castsi128_ps(weigh_two(pixels, weights, twos));
    __m128 second = _mm_castsi128_ps(weigh_two(pixels + 6, weights, twos));
    __m128i even = _mm_castps_si128(_mm_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)));
    __m128i odd = _mm_castps_si128(_mm_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
    return _mm_srli_epi32(_mm_add_epi32(even, odd), 15);
}

/* Eight pixels of three values -> the sum of each; what blending took off a value above 0 is given back before. One value
   is read behind them. */
static inline lanes lanes_weigh_colors(const int16_t *pixels, int16_t first, int16_t second, int16_t third)
{
    __m128i weights = _mm_setr_epi16(first, second, third, 0, first, second, third, 0), twos = _mm_set1_epi16(2);
    return _mm_packs_epi32(weigh_four(pixels, weights, twos), weigh_four(pixels + 12, weights, twos));
}

/* Eight values with 7 fractional bits, rounded half up -> bytes, each with `flip` flipped. */
static inline void lanes_store_bytes(unsigned char *target, lanes values, unsigned char flip)
{
    __m128i whole = _mm_srli_epi16(_mm_add_epi16(values, _mm_set1_epi16(64)), 7);
    _mm_storel_epi64((__m128i *)target, _mm_xor_si128(_mm_packus_epi16(whole, whole), _mm_set1_epi8((char)flip)));
}

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

static inline lanes lanes_load(const int16_t *source) { return vld1q_s16(source); }

static inline void lanes_store(int16_t *target, lanes values) { vst1q_s16(target, values); }

static inline void lanes_load_pairs(const uint16_t *source, lanes *even, lanes *odd)
{
    uint16x8x2_t pairs = vld2q_u16(source);
    *even = vreinterpretq_s16_u16(pairs.val[0]);
    *odd = vreinterpretq_s16_u16(pairs.val[1]);
}

static inline lanes lanes_choose(lanes mask, lanes chosen, lanes other)
{
    return vbslq_s16(vreinterpretq_u16_s16(mask), chosen, other);
}

static inline lanes lanes_low_bytes(lanes pairs) { return vandq_s16(pairs, vdupq_n_s16(255)); }

static inline lanes lanes_high_bytes(lanes pairs)
{
    return vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s16(pairs), 8));
}

static inline lanes lanes_from_bytes(lanes values) { return vshlq_n_s16(values, 5); }

static inline lanes lanes_above(lanes values, lanes zero)
{
    return vreinterpretq_s16_u16(vqsubq_u16(vreinterpretq_u16_s16(values), vreinterpretq_u16_s16(zero)));
}

/* Products are doubled here before their upper half is taken: half of what x86 multiplies will do. */
static inline lanes lanes_weigh_luma(lanes values, lanes weight) { return vqdmulhq_s16(vshlq_n_s16(values, 6), weight); }

static inline lanes lanes_weigh_chroma(lanes values, lanes weight)
{
    return vqdmulhq_s16(vsubq_s16(vshlq_n_s16(values, 7), vdupq_n_s16(128 * 128)), weight);
}

static inline lanes lanes_limit(lanes values, lanes highest) { return vminq_s16(vmaxq_s16(values, vdupq_n_s16(0)), highest); }

static inline lanes lanes_blend(lanes a, lanes b, lanes weights) { return vaddq_s16(a, vqdmulhq_s16(vsubq_s16(b, a), weights)); }

static inline lanes lanes_raise2(lanes values) { return vshlq_n_s16(values, 2); }

static inline void lanes_store_pixels(unsigned char *target, lanes red, lanes green, lanes blue, unsigned char flip)
{
    uint8x8x3_t pixels;
    uint8x8_t flips = vdup_n_u8(flip);
    pixels.val[0] = veor_u8(vqrshrun_n_s16(red, 5), flips);
    pixels.val[1] = veor_u8(vqrshrun_n_s16(green, 5), flips);
    pixels.val[2] = veor_u8(vqrshrun_n_s16(blue, 5), flips);
    vst3_u8(target, pixels);
}

/* A value above 0 plus 2: the mask is -1. */
static inline int16x8_t restored(int16x8_t values)
{
    int16x8_t above = vreinterpretq_s16_u16(vcgtq_s16(values, vdupq_n_s16(0)));
    return vsubq_s16(vsubq_s16(values, above), above);
}

static inline lanes lanes_weigh_colors(const int16_t *pixels, int16_t first, int16_t second, int16_t third)
{
    int16x8x3_t parts = vld3q_s16(pixels);
    int16x8_t a = restored(parts.val[0]), b = restored(parts.val[1]), c = restored(parts.val[2]);
    int32x4_t low = vmull_n_s16(vget_low_s16(a), first), high = vmull_n_s16(vget_high_s16(a), first);
    low = vmlal_n_s16(low, vget_low_s16(b), second);
    high = vmlal_n_s16(high, vget_high_s16(b), second);
    low = vmlal_n_s16(low, vget_low_s16(c), third);
    high = vmlal_n_s16(high, vget_high_s16(c), third);
    return vcombine_s16(vshrn_n_s32(low, 15), vshrn_n_s32(high, 15));
}

static inline void lanes_store_bytes(unsigned char *target, lanes values, unsigned char flip)
{
    vst1_u8(target, veor_u8(vqrshrun_n_s16(values, 7), vdup_n_u8(flip)));
}

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

static inline lanes lanes_load(const int16_t *source)
{
    lanes loaded;
    memcpy(loaded.of, source, sizeof(loaded.of));
    return loaded;
}

static inline void lanes_store(int16_t *target, lanes values) { memcpy(target, values.of, sizeof(values.of)); }

static inline void lanes_load_pairs(const uint16_t *source, lanes *even, lanes *odd)
{
    for (int lane = 0; lane < 8; lane++) {
        even->of[lane] = (int16_t)source[2 * lane];
        odd->of[lane] = (int16_t)source[2 * lane + 1];
    }
}

/* A function of eight lanes from an expression for one of them; the result takes the place of `values`. */
#define FASTYOLO_EACH(name, arguments, expression)                                    \
    static inline lanes name arguments                                                \
    {                                                                                 \
        for (int lane = 0; lane < 8; lane++) values.of[lane] = (int16_t)(expression); \
        return values;                                                                \
    }
FASTYOLO_EACH(lanes_choose, (lanes mask, lanes values, lanes other), mask.of[lane] ? values.of[lane] : other.of[lane])
FASTYOLO_EACH(lanes_low_bytes, (lanes values), values.of[lane] & 255)
FASTYOLO_EACH(lanes_high_bytes, (lanes values), (uint16_t)values.of[lane] >> 8)
FASTYOLO_EACH(lanes_from_bytes, (lanes values), values.of[lane] * 32)
FASTYOLO_EACH(lanes_above, (lanes values, lanes zero),
              values.of[lane] > zero.of[lane] ? values.of[lane] - zero.of[lane] : 0)
FASTYOLO_EACH(lanes_weigh_luma, (lanes values, lanes weight), values.of[lane] * 128 * weight.of[lane] >> 16)
FASTYOLO_EACH(lanes_weigh_chroma, (lanes values, lanes weight), (values.of[lane] - 128) * 256 * weight.of[lane] >> 16)
FASTYOLO_EACH(lanes_limit, (lanes values, lanes highest),
              values.of[lane] < 0 ? 0 : values.of[lane] < highest.of[lane] ? values.of[lane] : highest.of[lane])
FASTYOLO_EACH(lanes_blend, (lanes values, lanes other, lanes weights),
              values.of[lane] + ((other.of[lane] - values.of[lane]) * 2 * weights.of[lane] >> 16))
FASTYOLO_EACH(lanes_raise2, (lanes values), values.of[lane] * 4)

static inline void lanes_store_pixels(unsigned char *target, lanes red, lanes green, lanes blue, unsigned char flip)
{
    for (int lane = 0; lane < 8; lane++) {
        target[3 * lane] = (unsigned char)((red.of[lane] + 16) >> 5) ^ flip;
        target[3 * lane + 1] = (unsigned char)((green.of[lane] + 16) >> 5) ^ flip;
        target[3 * lane + 2] = (unsigned char)((blue.of[lane] + 16) >> 5) ^ flip;
    }
}

static inline int32_t restored(int16_t value) { return value > 0 ? value + 2 : value; }

static inline lanes lanes_weigh_colors(const int16_t *pixels, int16_t first, int16_t second, int16_t third)
{
    lanes sums;
    for (int lane = 0; lane < 8; lane++, pixels += 3) {
        int32_t sum = restored(pixels[0]) * first + restored(pixels[1]) * second + restored(pixels[2]) * third;
        sums.of[lane] = (int16_t)(sum >> 15);
    }
    return sums;
}

static inline void lanes_store_bytes(unsigned char *target, lanes values, unsigned char flip)
{
    for (int lane = 0; lane < 8; lane++) target[lane] = (unsigned char)((values.of[lane] + 64) >> 7) ^ flip;
}

#endif
#endif
