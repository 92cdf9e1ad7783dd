/* x Wᵀ in bfloat16 for one to four rows: the recurrent product of a step of a small minibatch.
 * The weights come in groups of OUTS outputs, one 32-bit word of each for every pair of columns, zeros where the sizes
 * do not fit. Sums are float32, two columns at a time in their order, whatever the number of rows.
 */
#include <stdint.h>
#include <string.h>

enum { OUTS = 64, LANES = 16, GROUPS = OUTS / LANES, MOST_ROWS = 4 };

#ifdef __AVX512BF16__
#include <immintrin.h>

int32_t is_possible(void) { return 1; }

static inline __attribute__((always_inline)) void block(int rows, const uint32_t *w, const uint16_t *x, int64_t x_stride,
                                                        int64_t columns, uint16_t *out, int64_t outputs, int64_t first) {
    __m512 sum[GROUPS][MOST_ROWS];
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) sum[g][r] = _mm512_setzero_ps();
    for (int64_t k = 0; k < columns; k += 2, w += OUTS) {
        __m512bh weights[GROUPS];
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; ++g) weights[g] = (__m512bh)_mm512_loadu_si512(w + g * LANES);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) {
            int32_t both = x[r * x_stride + k];
            if (k + 1 < columns) memcpy(&both, x + r * x_stride + k, 4);
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g)
                sum[g][r] = _mm512_dpbf16_ps(sum[g][r], weights[g], (__m512bh)_mm512_set1_epi32(both));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; ++g) {
            int64_t at = first + g * LANES, left = outputs - at;
            if (left <= 0) continue;
            __mmask16 there = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
            _mm256_mask_storeu_epi16(out + r * outputs + at, there, (__m256i)_mm512_cvtneps_pbh(sum[g][r]));
        }
}

/* out (rows, outputs), contiguous; x (rows, columns), rows x_stride apart */
void multiply(const uint32_t *w, const uint16_t *x, int64_t x_stride, uint16_t *out, int64_t rows, int64_t columns,
              int64_t outputs) {
    int64_t words = (columns + 1) / 2 * OUTS;
    for (int64_t first = 0; first < outputs; first += OUTS, w += words)
        switch (rows) {
        case 1: block(1, w, x, x_stride, columns, out, outputs, first); break;
        case 2: block(2, w, x, x_stride, columns, out, outputs, first); break;
        case 3: block(3, w, x, x_stride, columns, out, outputs, first); break;
        default: block(4, w, x, x_stride, columns, out, outputs, first);
        }
}
#else
int32_t is_possible(void) { return 0; }
#endif
