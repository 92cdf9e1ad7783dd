/* The arithmetic of one time step of the peephole LSTM (equations 7-11) and of its derivatives, between two products.
 *
 * Plain C without any header of torch: called through ctypes with pointers, compiled on first use (rnngen/compiled.py).
 * Every kernel exists for float storage and for bfloat16 storage of what enters and leaves matrix products; cells,
 * clipping and all arithmetic are float in both. A NaN passes through every kernel: comparisons keep it.
 *
 * Rows are sequences. g (B, 4H) holds the gates i, f, g, o side by side: the input's share before a step, activations
 * after it, clipped derivatives of the pre-activations after the backward step.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { COLUMNS = 256 }; /* columns worked on at a time, so that seven partial sums of the backward step stay in cache */

INLINE float clamp(float x, float bound) {
    x = x < -bound ? -bound : x;
    return x > bound ? bound : x;
}

/* exp(x) = scale * (1 + rest), for |x| <= 87: two units in the last place, without a branch. */
INLINE void exp_parts(float x, float *scale, float *rest) {
    float n = rintf(x * 1.44269504088896341f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    int32_t bits = ((int32_t)n + 127) << 23;
    memcpy(scale, &bits, 4);
    *rest = p * r * r + r;
}

INLINE float exponential(float x) {
    float scale, rest;
    exp_parts(clamp(x, 87.0f), &scale, &rest);
    return scale * rest + scale;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* -expm1(-2x) / (2 + expm1(-2x)): exact near zero, where 2 sigmoid(2x) - 1 would lose every digit. */
INLINE float hyperbolic_tangent(float x) {
    float scale, rest;
    exp_parts(clamp(-2.0f * x, 87.0f), &scale, &rest);
    float m = scale * rest + (scale - 1.0f);
    return -m / (2.0f + m);
}

INLINE float from_bits(uint16_t v) {
    uint32_t bits = (uint32_t)v << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* To the nearest bfloat16, ties to even; a NaN stays one whatever its payload. */
INLINE uint16_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t rounded = (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    return x != x ? 0x7fc0 : rounded;
}

INLINE float load(const void *p, int64_t j, int half) {
    return half ? from_bits(((const uint16_t *)p)[j]) : ((const float *)p)[j];
}

INLINE void store(void *p, int64_t j, float x, int half) {
    if (half) ((uint16_t *)p)[j] = to_bits(x);
    else ((float *)p)[j] = x;
}

/* A sigmoid in bfloat16 is kept as its distance from the nearer of 0 and 1, with the sign bit for 1. Rounded as it
 * stands, a forget gate of 0.999 would become 1 or 0.996 and the memory's derivative would decay at another rate. */
INLINE float load_sigmoid(const void *p, int64_t j, int half) {
    if (!half) return ((const float *)p)[j];
    uint16_t bits = ((const uint16_t *)p)[j];
    float distance = from_bits(bits & 0x7fff);
    return bits & 0x8000 ? 1.0f - distance : distance;
}

INLINE void store_sigmoid(void *p, int64_t j, float s, int half) {
    if (!half) {
        ((float *)p)[j] = s;
        return;
    }
    uint16_t nearer_one = s > 0.5f ? 0x8000 : 0;
    ((uint16_t *)p)[j] = (uint16_t)((to_bits(s > 0.5f ? 1.0f - s : s) & 0x7fff) | nearer_one);
}

INLINE void *at(const void *p, int64_t j, int half) { return (char *)p + j * (half ? 2 : 4); }

/* g: 1 if it holds the dense inputs' share, else it is only written. rows: symbol weights (K, 4H) or NULL, row
 * symbol[b] of which is added, -1 adding nothing. recurrent (B, 4H): the product of h_{t-1}. h goes to `h` (row stride
 * h_stride) for the next product and, if not NULL, to `out` in float. */
INLINE void forward(void *g, int64_t g_filled, const void *recurrent, const float *rows, const int64_t *symbol,
                    const float *bias, const float *peepholes, const float *c_before, float *c_after, void *h,
                    int64_t h_stride, float *out, int64_t B, int64_t H, int half) {
    const float *peep_i = peepholes, *peep_f = peepholes + H, *peep_o = peepholes + 2 * H;
    for (int64_t b = 0; b < B; ++b) {
        void *gi = at(g, b * 4 * H, half), *gf = at(gi, H, half), *gg = at(gf, H, half), *go = at(gg, H, half);
        const void *r = at(recurrent, b * 4 * H, half);
        const float *row = rows && symbol[b] >= 0 ? rows + symbol[b] * 4 * H : 0;
        const float *before = c_before + b * H;
        float *after = c_after + b * H, *o32 = out ? out + b * H : 0;
        void *hb = at(h, b * h_stride, half);
#define STEP(FILLED, ROW, OUT)                                                                                  \
    _Pragma("GCC ivdep") for (int64_t j = 0; j < H; ++j) {                                                      \
        float ai = load(r, j, half) + bias[j], af = load(r, H + j, half) + bias[H + j];                         \
        float ag = load(r, 2 * H + j, half) + bias[2 * H + j], ao = load(r, 3 * H + j, half) + bias[3 * H + j]; \
        if (FILLED) {                                                                                           \
            ai += load(gi, j, half);                                                                            \
            af += load(gf, j, half);                                                                            \
            ag += load(gg, j, half);                                                                            \
            ao += load(go, j, half);                                                                            \
        }                                                                                                       \
        if (ROW) {                                                                                              \
            ai += row[j];                                                                                       \
            af += row[H + j];                                                                                   \
            ag += row[2 * H + j];                                                                               \
            ao += row[3 * H + j];                                                                               \
        }                                                                                                       \
        float i = sigmoid(ai + peep_i[j] * before[j]), f = sigmoid(af + peep_f[j] * before[j]);                 \
        float z = hyperbolic_tangent(ag), c = f * before[j] + i * z;                                            \
        float o = sigmoid(ao + peep_o[j] * c), y = o * hyperbolic_tangent(c);                                   \
        store_sigmoid(gi, j, i, half);                                                                          \
        store_sigmoid(gf, j, f, half);                                                                          \
        store(gg, j, z, half);                                                                                  \
        store_sigmoid(go, j, o, half);                                                                          \
        after[j] = c;                                                                                           \
        store(hb, j, y, half);                                                                                  \
        if (OUT) o32[j] = y;                                                                                    \
    }
        if (g_filled && row && out) STEP(1, 1, 1)
        else if (g_filled && row) STEP(1, 1, 0)
        else if (g_filled && out) STEP(1, 0, 1)
        else if (g_filled) STEP(1, 0, 0)
        else if (row && out) STEP(0, 1, 1)
        else if (row) STEP(0, 1, 0)
        else if (out) STEP(0, 0, 1)
        else STEP(0, 0, 0)
#undef STEP
    }
}

/* Activations become clipped derivatives of the pre-activations, in place. d_out (float, row stride d_stride) is the
 * derivative of h_t from outside the recurrence, d_recurrent (row stride r_stride) that from step t+1; d_c goes from
 * c_t to c_{t-1}. Sums over the rows are added to d_bias (4H), d_peepholes (3, H) and, row symbol[b], d_rows (K, 4H). */
INLINE void backward(void *g, const float *peepholes, const float *c_before, const float *c_after, const float *d_out,
                     int64_t d_stride, const void *d_recurrent, int64_t r_stride, float *d_c, float clip,
                     float *d_bias, float *d_peepholes, float *d_rows, const int64_t *symbol, int64_t B, int64_t H,
                     int half) {
    float sums[7][COLUMNS];
    for (int64_t start = 0; start < H; start += COLUMNS) {
        int64_t width = H - start < COLUMNS ? H - start : COLUMNS;
        const float *peep_i = peepholes + start, *peep_f = peep_i + H, *peep_o = peep_f + H;
        memset(sums, 0, sizeof sums);
        for (int64_t b = 0; b < B; ++b) {
            void *gi = at(g, b * 4 * H + start, half), *gf = at(gi, H, half), *gg = at(gf, H, half), *go = at(gg, H, half);
            const float *before = c_before + b * H + start, *after = c_after + b * H + start;
            const float *outside = d_out + b * d_stride + start;
            const void *later = at(d_recurrent, b * r_stride + start, half);
            float *dc = d_c + b * H + start;
#pragma GCC ivdep
            for (int64_t j = 0; j < width; ++j) {
                float i = load_sigmoid(gi, j, half), f = load_sigmoid(gf, j, half), z = load(gg, j, half);
                float o = load_sigmoid(go, j, half), y = hyperbolic_tangent(after[j]);
                float dh = outside[j] + load(later, j, half);
                float d_o = clamp(dh * y * o * (1.0f - o), clip);
                float e = dc[j] + dh * o * (1.0f - y * y) + d_o * peep_o[j];
                float d_i = clamp(e * z * i * (1.0f - i), clip), d_f = clamp(e * before[j] * f * (1.0f - f), clip);
                float d_g = clamp(e * i * (1.0f - z * z), clip);
                dc[j] = e * f + d_i * peep_i[j] + d_f * peep_f[j];
                store(gi, j, d_i, half);
                store(gf, j, d_f, half);
                store(gg, j, d_g, half);
                store(go, j, d_o, half);
                sums[0][j] += d_i;
                sums[1][j] += d_f;
                sums[2][j] += d_g;
                sums[3][j] += d_o;
                sums[4][j] += d_i * before[j];
                sums[5][j] += d_f * before[j];
                sums[6][j] += d_o * after[j];
            }
            if (d_rows && symbol[b] >= 0) {
                for (int gate = 0; gate < 4; ++gate) {
                    float *row = d_rows + symbol[b] * 4 * H + gate * H + start;
                    const void *d = at(gi, gate * H, half);
#pragma GCC ivdep
                    for (int64_t j = 0; j < width; ++j) row[j] += load(d, j, half);
                }
            }
        }
        for (int k = 0; k < 7; ++k) {
            float *total = (k < 4 ? d_bias + k * H : d_peepholes + (k - 4) * H) + start;
            for (int64_t j = 0; j < width; ++j) total[j] += sums[k][j];
        }
    }
}

/* One step of the soft window (equations 46-51). a (B, 3K): the hats of alpha, beta, kappa become exponentials. The
 * window goes to `w` (row stride w_stride) for the next product and to `out` (B, V) in float. text (B, U) are
 * characters, of which text_lengths (B) count; phi (U) is scratch. */
INLINE void window_forward(float *a, const float *kappa_before, float *kappa, void *w, int64_t w_stride, float *out,
                           const int64_t *text, const int64_t *text_lengths, float *phi, int64_t B, int64_t K,
                           int64_t U, int64_t V, int half) {
    for (int64_t b = 0; b < B; ++b) {
        float *ab = a + b * 3 * K, *window = out + b * V;
        int64_t length = text_lengths[b];
        for (int64_t j = 0; j < 3 * K; ++j) ab[j] = exponential(ab[j]);
        memset(phi, 0, (size_t)length * sizeof(float));
        for (int64_t k = 0; k < K; ++k) {
            float centre = kappa[b * K + k] = kappa_before[b * K + k] + ab[2 * K + k];
            float alpha = ab[k], beta = ab[K + k];
            for (int64_t u = 0; u < length; ++u) {
                float d = centre - (float)(u + 1);
                phi[u] += alpha * exponential(-beta * d * d);
            }
        }
        memset(window, 0, (size_t)V * sizeof(float));
        for (int64_t u = 0; u < length; ++u) window[text[b * U + u]] += phi[u];
        for (int64_t v = 0; v < V; ++v) store(at(w, b * w_stride, half), v, window[v], half);
    }
}

/* Equations 56-60. The derivative of w_t is d_out (B, V) plus d_later (row stride d_stride); d_kappa goes from kappa_t
 * to kappa_{t-1}; d_hats (B, 3K) is written. */
INLINE void window_backward(const float *a, const float *kappa, const float *d_out, const void *d_later,
                            int64_t d_stride, float *d_hats, float *d_kappa, const int64_t *text,
                            const int64_t *text_lengths, float *d_phi, int64_t B, int64_t K, int64_t U, int64_t V,
                            int half) {
    for (int64_t b = 0; b < B; ++b) {
        const float *ab = a + b * 3 * K;
        float *d = d_hats + b * 3 * K;
        int64_t length = text_lengths[b];
        for (int64_t u = 0; u < length; ++u) {
            int64_t v = text[b * U + u];
            d_phi[u] = d_out[b * V + v] + load(at(d_later, b * d_stride, half), v, half);
        }
        for (int64_t k = 0; k < K; ++k) {
            float centre = kappa[b * K + k], alpha = ab[k], beta = ab[K + k], sum = 0, first = 0, second = 0;
#pragma omp simd reduction(+ : sum, first, second)
            for (int64_t u = 0; u < length; ++u) {
                float distance = centre - (float)(u + 1);
                float epsilon = exponential(-beta * distance * distance) * d_phi[u];
                sum += epsilon;
                first += epsilon * distance;
                second += epsilon * distance * distance;
            }
            float dk = d_kappa[b * K + k] -= 2 * alpha * beta * first;
            d[k] = alpha * sum;
            d[K + k] = -alpha * beta * second;
            d[2 * K + k] = dk * ab[2 * K + k];
        }
    }
}

enum { TILE = 32 };

INLINE uint64_t rounded(const void *row, int64_t c, int half) {
    return half ? ((const uint16_t *)row)[c] : to_bits(((const float *)row)[c]);
}

/* to (columns, rows) = from (rows, columns) transposed, rounded to bfloat16: in tiles, so that whole cache lines are
 * read and written, and by four rows, so that one word is moved for four elements. */
INLINE void transpose(const void *from, int64_t rows, int64_t columns, int64_t from_stride, uint16_t *to,
                      int64_t to_stride, int half) {
    uint64_t tile[TILE][TILE / 4], word[TILE];
    for (int64_t r0 = 0; r0 < rows; r0 += TILE) {
        int64_t height = rows - r0 < TILE ? rows - r0 : TILE;
        for (int64_t c0 = 0; c0 < columns; c0 += TILE) {
            int64_t width = columns - c0 < TILE ? columns - c0 : TILE;
            for (int64_t r = 0; r < height; r += 4) {
                const void *row[4];
                for (int64_t k = 0; k < 4; ++k) /* past the last row anything will do: it is not copied out */
                    row[k] = at(from, (r0 + (r + k < height ? r + k : r)) * from_stride + c0, half);
                for (int64_t c = 0; c < width; ++c)
                    word[c] = rounded(row[0], c, half) | rounded(row[1], c, half) << 16 |
                              rounded(row[2], c, half) << 32 | rounded(row[3], c, half) << 48;
                for (int64_t c = 0; c < width; ++c) tile[c][r / 4] = word[c];
            }
            for (int64_t c = 0; c < width; ++c)
                memcpy(to + (c0 + c) * to_stride + r0, tile[c], (size_t)height * sizeof(uint16_t));
        }
    }
}

#define FORWARD(NAME, HALF)                                                                                          \
    void NAME(void *g, int64_t g_filled, const void *recurrent, const float *rows, const int64_t *symbol,            \
              const float *bias, const float *peepholes, const float *c_before, float *c_after, void *h,             \
              int64_t h_stride, float *out, int64_t B, int64_t H) {                                                  \
        forward(g, g_filled, recurrent, rows, symbol, bias, peepholes, c_before, c_after, h, h_stride, out, B, H, HALF); \
    }
#define BACKWARD(NAME, HALF)                                                                                         \
    void NAME(void *g, const float *peepholes, const float *c_before, const float *c_after, const float *d_out,      \
              int64_t d_stride, const void *d_recurrent, int64_t r_stride, float *d_c, float clip, float *d_bias,    \
              float *d_peepholes, float *d_rows, const int64_t *symbol, int64_t B, int64_t H) {                      \
        backward(g, peepholes, c_before, c_after, d_out, d_stride, d_recurrent, r_stride, d_c, clip, d_bias,         \
                 d_peepholes, d_rows, symbol, B, H, HALF);                                                           \
    }
FORWARD(forward_float, 0)
FORWARD(forward_bfloat16, 1)
BACKWARD(backward_float, 0)
BACKWARD(backward_bfloat16, 1)

#define TRANSPOSE(NAME, HALF)                                                                                        \
    void NAME(const void *from, int64_t rows, int64_t columns, int64_t from_stride, uint16_t *to, int64_t to_stride) { \
        transpose(from, rows, columns, from_stride, to, to_stride, HALF);                                            \
    }
TRANSPOSE(transpose_float, 0)
TRANSPOSE(transpose_bfloat16, 1)

#define WINDOW_FORWARD(NAME, HALF)                                                                                   \
    void NAME(float *a, const float *kappa_before, float *kappa, void *w, int64_t w_stride, float *out,              \
              const int64_t *text, const int64_t *text_lengths, float *phi, int64_t B, int64_t K, int64_t U,         \
              int64_t V) {                                                                                           \
        window_forward(a, kappa_before, kappa, w, w_stride, out, text, text_lengths, phi, B, K, U, V, HALF);         \
    }
#define WINDOW_BACKWARD(NAME, HALF)                                                                                  \
    void NAME(const float *a, const float *kappa, const float *d_out, const void *d_later, int64_t d_stride,         \
              float *d_hats, float *d_kappa, const int64_t *text, const int64_t *text_lengths, float *d_phi,         \
              int64_t B, int64_t K, int64_t U, int64_t V) {                                                          \
        window_backward(a, kappa, d_out, d_later, d_stride, d_hats, d_kappa, text, text_lengths, d_phi, B, K, U, V,  \
                        HALF);                                                                                       \
    }
WINDOW_FORWARD(window_forward_float, 0)
WINDOW_FORWARD(window_forward_bfloat16, 1)
WINDOW_BACKWARD(window_backward_float, 0)
WINDOW_BACKWARD(window_backward_bfloat16, 1)
