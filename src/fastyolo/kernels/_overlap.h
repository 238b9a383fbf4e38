/* One box against eight at a time: SSE2 on x86-64, NEON on aarch64, plain C elsewhere. Every variant gives the same bits. */
#ifndef FASTYOLO_OVERLAP_H
#define FASTYOLO_OVERLAP_H

#include <stdint.h>

/* Eight boxes side by side. Places that are still free hold a box that overlaps nothing. */
typedef struct {
    float x1[8], y1[8], x2[8], y2[8], area[8];
    int32_t used;
    int32_t older; /* index of the eight before in the same list, -1 for none */
} boxes8;

/* One bit for each of the eight whose IoU with the box (x1, y1, x2, y2) is above the threshold, which is 0 or more.

   Of a pair that lies apart, width or height is 0 or less. With the width limited to 0 their product is 0 or less too
   (or no number, for free places), which is above nothing. The union is added up in an order in which it is never below
   the intersection, whatever is rounded: it needs no test, for where it is 0 the intersection is 0 as well. Two vectors
   at once are two chains of instructions that do not wait for each other. */
#if defined(__SSE2__) && !defined(FASTYOLO_PLAIN_LANES)
#include <emmintrin.h>

static inline __m128 overlapping4(const boxes8 *kept, int first, __m128 x1, __m128 y1, __m128 x2, __m128 y2,
                                  __m128 area, __m128 threshold)
{
    __m128 width = _mm_sub_ps(_mm_min_ps(_mm_loadu_ps(kept->x2 + first), x2),
                              _mm_max_ps(_mm_loadu_ps(kept->x1 + first), x1));
    __m128 height = _mm_sub_ps(_mm_min_ps(_mm_loadu_ps(kept->y2 + first), y2),
                               _mm_max_ps(_mm_loadu_ps(kept->y1 + first), y1));
    __m128 intersection = _mm_mul_ps(_mm_max_ps(width, _mm_setzero_ps()), height);
    __m128 all = _mm_add_ps(_mm_loadu_ps(kept->area + first), _mm_sub_ps(area, intersection));
    return _mm_cmpgt_ps(intersection, _mm_mul_ps(threshold, all));
}

static inline int overlapping(const boxes8 *kept, float x1, float y1, float x2, float y2, float area, float threshold)
{
    __m128 a = _mm_set1_ps(x1), b = _mm_set1_ps(y1), c = _mm_set1_ps(x2), d = _mm_set1_ps(y2);
    __m128 areas = _mm_set1_ps(area), limit = _mm_set1_ps(threshold);
    return _mm_movemask_ps(overlapping4(kept, 0, a, b, c, d, areas, limit))
        | _mm_movemask_ps(overlapping4(kept, 4, a, b, c, d, areas, limit)) << 4;
}

#elif defined(__aarch64__) && !defined(FASTYOLO_PLAIN_LANES)
#include <arm_neon.h>

static inline uint32x4_t overlapping4(const boxes8 *kept, int first, float32x4_t x1, float32x4_t y1, float32x4_t x2,
                                      float32x4_t y2, float32x4_t area, float threshold)
{
    float32x4_t width = vsubq_f32(vminq_f32(vld1q_f32(kept->x2 + first), x2),
                                  vmaxq_f32(vld1q_f32(kept->x1 + first), x1));
    float32x4_t height = vsubq_f32(vminq_f32(vld1q_f32(kept->y2 + first), y2),
                                   vmaxq_f32(vld1q_f32(kept->y1 + first), y1));
    float32x4_t intersection = vmulq_f32(vmaxq_f32(width, vdupq_n_f32(0)), height);
    float32x4_t all = vaddq_f32(vld1q_f32(kept->area + first), vsubq_f32(area, intersection));
    return vcgtq_f32(intersection, vmulq_n_f32(all, threshold));
}

static inline int overlapping(const boxes8 *kept, float x1, float y1, float x2, float y2, float area, float threshold)
{
    const uint32x4_t low = {1, 2, 4, 8}, high = {16, 32, 64, 128};
    float32x4_t a = vdupq_n_f32(x1), b = vdupq_n_f32(y1), c = vdupq_n_f32(x2), d = vdupq_n_f32(y2);
    float32x4_t areas = vdupq_n_f32(area);
    uint32x4_t first = vandq_u32(overlapping4(kept, 0, a, b, c, d, areas, threshold), low);
    uint32x4_t second = vandq_u32(overlapping4(kept, 4, a, b, c, d, areas, threshold), high);
    return (int)vaddvq_u32(vorrq_u32(first, second));
}

#else

static inline int overlapping(const boxes8 *kept, float x1, float y1, float x2, float y2, float area, float threshold)
{
    int found = 0;
    for (int place = 0; place < 8; place++) {
        float width = (kept->x2[place] < x2 ? kept->x2[place] : x2) - (kept->x1[place] > x1 ? kept->x1[place] : x1);
        float height = (kept->y2[place] < y2 ? kept->y2[place] : y2) - (kept->y1[place] > y1 ? kept->y1[place] : y1);
        float intersection = (width > 0 ? width : 0) * height;
        float all = kept->area[place] + (area - intersection);
        if (intersection > threshold * all) found |= 1 << place;
    }
    return found;
}

#endif
#endif
