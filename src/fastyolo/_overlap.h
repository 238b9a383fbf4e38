/* One box against four at a time: SSE2 on x86-64, NEON on aarch64, plain C elsewhere. Every variant gives the same bits. */
#ifndef FASTYOLO_OVERLAP_H
#define FASTYOLO_OVERLAP_H

#include <stdint.h>

/* Four boxes side by side. Places that are still free hold a box that overlaps nothing. */
typedef struct {
    float x1[4], y1[4], x2[4], y2[4], area[4];
    int32_t used;
    int32_t older; /* index of the four before in the same list, -1 for none */
} boxes4;

/* One bit for each of the four whose IoU with the box (x1, y1, x2, y2) is above the threshold, which is 0 or more.

   A pair that lies apart has a width or height of 0 or less. The union is added up in an order in which it is never
   below the intersection, whatever is rounded. */
#if defined(__SSE2__) && !defined(FASTYOLO_PLAIN_LANES)
#include <emmintrin.h>

static inline int overlapping(const boxes4 *four, float x1, float y1, float x2, float y2, float area, float threshold)
{
    __m128 none = _mm_setzero_ps();
    __m128 width = _mm_sub_ps(_mm_min_ps(_mm_loadu_ps(four->x2), _mm_set1_ps(x2)),
                              _mm_max_ps(_mm_loadu_ps(four->x1), _mm_set1_ps(x1)));
    __m128 height = _mm_sub_ps(_mm_min_ps(_mm_loadu_ps(four->y2), _mm_set1_ps(y2)),
                               _mm_max_ps(_mm_loadu_ps(four->y1), _mm_set1_ps(y1)));
    __m128 apart = _mm_cmple_ps(_mm_min_ps(width, height), none);
    __m128 intersection = _mm_mul_ps(width, height);
    __m128 all = _mm_add_ps(_mm_loadu_ps(four->area), _mm_sub_ps(_mm_set1_ps(area), intersection));
    __m128 above = _mm_and_ps(_mm_cmpgt_ps(all, none),
                              _mm_cmpgt_ps(intersection, _mm_mul_ps(_mm_set1_ps(threshold), all)));
    return _mm_movemask_ps(_mm_andnot_ps(apart, above));
}

#elif defined(__aarch64__) && !defined(FASTYOLO_PLAIN_LANES)
#include <arm_neon.h>

static inline int overlapping(const boxes4 *four, float x1, float y1, float x2, float y2, float area, float threshold)
{
    const uint32x4_t bits = {1, 2, 4, 8};
    float32x4_t width = vsubq_f32(vminq_f32(vld1q_f32(four->x2), vdupq_n_f32(x2)),
                                  vmaxq_f32(vld1q_f32(four->x1), vdupq_n_f32(x1)));
    float32x4_t height = vsubq_f32(vminq_f32(vld1q_f32(four->y2), vdupq_n_f32(y2)),
                                   vmaxq_f32(vld1q_f32(four->y1), vdupq_n_f32(y1)));
    uint32x4_t together = vcgtzq_f32(vminq_f32(width, height));
    float32x4_t intersection = vmulq_f32(width, height);
    float32x4_t all = vaddq_f32(vld1q_f32(four->area), vsubq_f32(vdupq_n_f32(area), intersection));
    uint32x4_t above = vandq_u32(vcgtzq_f32(all), vcgtq_f32(intersection, vmulq_n_f32(all, threshold)));
    return (int)vaddvq_u32(vandq_u32(vandq_u32(together, above), bits));
}

#else

static inline int overlapping(const boxes4 *four, float x1, float y1, float x2, float y2, float area, float threshold)
{
    int found = 0;
    for (int place = 0; place < 4; place++) {
        float width = (four->x2[place] < x2 ? four->x2[place] : x2) - (four->x1[place] > x1 ? four->x1[place] : x1);
        float height = (four->y2[place] < y2 ? four->y2[place] : y2) - (four->y1[place] > y1 ? four->y1[place] : y1);
        float intersection = width * height;
        float all = four->area[place] + (area - intersection);
        if (width > 0 && height > 0 && all > 0 && intersection > threshold * all) found |= 1 << place;
    }
    return found;
}

#endif
#endif
