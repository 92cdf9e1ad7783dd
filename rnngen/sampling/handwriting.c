/* Whole lines of pen offsets drawn from a prediction or synthesis network, in one call (equations 1-11, 17-25, 46-53, 61-62).
 *
 * Up to ROWS lines advance together, so that the weights, which do not fit the caches near the core, are read once for
 * all of them; a line that ends makes room for the next. Every sum is made in the same order however many lines advance,
 * so a line is bit for bit the same, alone or with others.
 *
 * Gate order i, f, g, o. Row n of a layer's weights belongs to gate unit n, its columns to the layer's input
 * [x | w | h below | h own]. Weights come packed in the order in which they are read: columns padded with zeros to a
 * multiple of 2 LANES, rows to a multiple of OUTS1, and then OUTS rows together, LANES columns of each in turn.
 *
 * Weights in bfloat16 come two in a word, column k in its lower half and column k + LANES in its upper one, so 2 LANES
 * columns are read at once. They become float32 without rounding and are added in the same order, so a line is bit for
 * bit that of a float32 network with these weights, from half the memory.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, ROWS = 32, GROUP = 4, OUTS1 = 8, OUTS = 4, MAX_LAYERS = 16, MAX_MIXTURES = 256 };
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

typedef struct {
    int32_t layers, cells, symbols, components, mixtures; /* L, H, V, K, M; V = K = 0 for a prediction network */
    int32_t halves;                                       /* whether the matrices are in bfloat16 */
    const void *weights[MAX_LAYERS];                      /* (4H, width of the layer's input) */
    const float *bias[MAX_LAYERS];                        /* (4H) */
    const float *peepholes[MAX_LAYERS];                   /* (3, H): i, f, o */
    const void *window_weights, *output_weights;          /* (3K, H), (1 + 6M, L*H) */
    const float *window_bias, *output_bias;
} network;

typedef struct {
    const int32_t *text; /* (U) symbols */
    const float *prime;  /* (prime_steps, 3) offsets the inputs are clamped to */
    const float *noise;  /* (limit, 4): uniform for the component, two normals, uniform for the end of stroke */
    float *offsets;      /* out (limit, 3) */
    float *outputs;      /* out (limit, 1 + 6M), or NULL */
    float *phi;          /* out (limit, U + 1), or NULL */
    float *kappa;    /* out (limit, K), or NULL */
    float *work;         /* state and scratch of the line, zero at the start */
    int32_t characters, prime_steps, limit;
    int32_t following; /* the last of the characters, which are not to be written, but tell how a line goes on */
    int32_t finish; /* most steps after the stop rule has fired: to the end of the current stroke or,
                       with characters that follow, this many in any case */
    int32_t steps;  /* out: offsets written */
    int32_t evaluated; /* out: steps of the network, and so rows of phi, kappa and outputs */
    int32_t fired;  /* out: step at which the stop rule fired, -1 if never */
    float bias;
} line;

static inline float exp_(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    float n = rintf(x * 1.44269504088896341f), r = x - n * 0.693359375f + n * 2.12194440e-4f, p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t power = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &power, 4);
    return p * scale;
}
static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_(-x)); }
static inline float tanh_(float x) { return 2.0f / (1.0f + exp_(-2.0f * x)) - 1.0f; }
static inline int padded(int n) { return (n + 2 * LANES - 1) / (2 * LANES) * (2 * LANES); }

/* out[o] = bias[o] + the lanes of sum[o], for four outputs. Not inlined: a compiler that may reorder additions must not
 * do so differently in the places that call it. */
static __attribute__((noinline)) void add_lanes(const vec *sum, const float *bias, float *out) {
    for (int o = 0; o < OUTS; ++o) {
        float total = bias[o];
#pragma omp simd reduction(+ : total)
        for (int l = 0; l < LANES; ++l) total += sum[o][l];
        out[o] = total;
    }
}

/* out_r[n] = bias[n] + sum_k w[n,k] in_r[k] for the outputs n .. n + outs of `rows` lines, one accumulator for each */
static inline __attribute__((always_inline)) void block(int halves, int rows, int outs, const void *w,
                                                        const float *bias, int n, int width, float *const *in,
                                                        float *const *out) {
    vec sum[GROUP][OUTS1];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < outs; ++o) sum[r][o] = (vec){0};
    int columns = halves ? 2 * LANES : LANES;
    for (int k = 0; k < width; k += columns) {
        vec x[GROUP], next[GROUP];
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            x[r] = *(const vec *)(in[r] + k);
            if (halves) next[r] = *(const vec *)(in[r] + k + LANES);
        }
#pragma GCC unroll 8
        for (int o = 0; o < outs; ++o) {
            int64_t first = n + o - o % OUTS; /* of the rows packed together */
            int64_t at = first * width + k * OUTS + o % OUTS * columns;
            words both;
            vec v;
            if (halves) {
                both = *(const words *)((const uint16_t *)w + at);
                v = (vec)(both << 16);
            } else
                v = *(const vec *)((const float *)w + at);
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) sum[r][o] += v * x[r];
            if (!halves) continue;
            v = (vec)(both & 0xffff0000u);
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) sum[r][o] += v * next[r];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < outs; o += OUTS) {
            vec four[OUTS]; /* a copy, so that the sums themselves may stay in registers */
#pragma GCC unroll 8
            for (int i = 0; i < OUTS; ++i) four[i] = sum[r][o + i];
            add_lanes(four, bias + n + o, out[r] + n + o);
        }
}

static inline __attribute__((always_inline)) void rows_of_product(int halves, int rows, const void *w,
                                                                  const float *bias, int height, int width,
                                                                  float *const *in, float *const *out) {
    if (rows == 1) {
        for (int n = 0; n < height; n += OUTS1) block(halves, 1, OUTS1, w, bias, n, width, in, out);
        return;
    }
    for (int n = 0; n < height; n += OUTS)
        for (int r = 0; r < rows; r += GROUP) /* the weights of these outputs stay in the nearest cache */
            switch (rows - r) {
            case 1: block(halves, 1, OUTS, w, bias, n, width, in + r, out + r); break;
            case 2: block(halves, 2, OUTS, w, bias, n, width, in + r, out + r); break;
            case 3: block(halves, 3, OUTS, w, bias, n, width, in + r, out + r); break;
            default: block(halves, GROUP, OUTS, w, bias, n, width, in + r, out + r);
            }
}

static void product(const network *net, int rows, const void *w, const float *bias, int height, int width,
                    float *const *in, float *const *out) {
    if (net->halves)
        rows_of_product(1, rows, w, bias, height, width, in, out);
    else
        rows_of_product(0, rows, w, bias, height, width, in, out);
}

static int rounded(int n) { return (n + OUTS1 - 1) / OUTS1 * OUTS1; }

/* equations 7-11 for one line */
static void cell(float *g, float *c, float *h, const float *p, int H) {
#pragma GCC ivdep
    for (int j = 0; j < H; ++j) {
        float before = c[j], i = sigmoid(g[j] + p[j] * before), f = sigmoid(g[H + j] + p[H + j] * before);
        float now = f * before + i * tanh_(g[2 * H + j]);
        c[j] = now;
        h[j] = sigmoid(g[3 * H + j] + p[2 * H + j] * now) * tanh_(now);
    }
}

/* where the parts of a line's work area lie */
typedef struct {
    float *in[MAX_LAYERS]; /* [x | w | h below | h own] of each layer */
    float *cells, *hidden, *gates, *window, *kappa, *phi, *y;
} parts;

static int64_t lay_out(const network *net, float *work, int characters, parts *p) {
    int H = net->cells, L = net->layers;
    float *at = work;
    for (int l = 0; l < L; ++l) p->in[l] = at, at += padded(3 + net->symbols + (l ? 2 : 1) * H);
    p->hidden = at, at += padded(L * H);
    p->cells = at, at += padded(L * H);
    p->gates = at, at += padded(4 * H);
    p->window = at, at += padded(rounded(3 * net->components));
    p->kappa = at, at += padded(net->components);
    p->phi = at, at += padded(characters + 1);
    p->y = at, at += padded(rounded(1 + 6 * net->mixtures));
    return at - work;
}

int64_t work_floats(const network *net, int32_t characters) {
    parts p;
    return lay_out(net, (float *)0, characters, &p);
}

/* equations 46-51, for u = 1 .. U + 1: the last one is past the text and only serves the stop rule */
static void window(const network *net, const line *s, const parts *p) {
    int K = net->components, U = s->characters;
    memset(p->phi, 0, 4 * (U + 1));
    for (int k = 0; k < K; ++k) {
        float alpha = exp_(p->window[k]), beta = exp_(p->window[K + k]);
        p->kappa[k] += exp_(p->window[2 * K + k]);
        float kappa = p->kappa[k];
        float *phi = p->phi;
#pragma GCC ivdep
        for (int u = 0; u <= U; ++u) {
            float d = kappa - (float)(u + 1), z = beta * d * d;
            phi[u] += z > 87.0f ? 0.0f : alpha * exp_(-z);
        }
    }
}

/* equations 61-62 and 23: the next offset from the mixture y and four random numbers */
static void draw(const float *y, int M, float bias, const float *noise, float *x) {
    float weight[MAX_MIXTURES], top = -INFINITY, total = 0;
    for (int j = 0; j < M; ++j) top = y[1 + j] > top ? y[1 + j] : top;
    for (int j = 0; j < M; ++j) total += weight[j] = exp_((y[1 + j] - top) * (1 + bias));
    float left = noise[0] * total;
    int k = 0;
    for (; k < M - 1 && left > weight[k]; ++k) left -= weight[k];
    float s1 = exp_(y[1 + 3 * M + k] - bias), s2 = exp_(y[1 + 4 * M + k] - bias), rho = tanhf(y[1 + 5 * M + k]);
    x[0] = y[1 + M + k] + s1 * noise[1];
    x[1] = y[1 + 2 * M + k] + s2 * (rho * noise[1] + sqrtf(1 - rho * rho) * noise[2]);
    float end = sigmoid(-y[0]);
    x[2] = noise[3] < end ? 1.0f : 0.0f;
    if (total != total || end != end) x[0] = x[1] = x[2] = NAN; /* comparisons turn NaN into an ordinary answer */
}

typedef struct {
    line *s;
    parts p;
    int32_t t;
} slot;

/* what follows the network's step t of a line; 0 when the line has ended */
static int advance(const network *net, slot *a) {
    line *s = a->s;
    int32_t t = a->t, U = s->characters - s->following;
    const parts *p = &a->p;
    int outputs = 1 + 6 * net->mixtures;
    if (s->outputs) memcpy(s->outputs + (int64_t)t * outputs, p->y, 4 * outputs);
    s->evaluated = t + 1;
    if (net->components && t >= s->prime_steps) {
        float most = 0, past = 0;
        for (int u = 0; u < U; ++u) most = p->phi[u] > most ? p->phi[u] : most;
        for (int u = U; u <= s->characters; ++u) past = p->phi[u] > past ? p->phi[u] : past;
        if (s->fired < 0 && past > most) s->fired = t;
        int pen_up = !s->following && t > 0 && s->offsets[3 * (int64_t)(t - 1) + 2] > 0.5f;
        if (s->fired >= 0 && (pen_up || t - s->fired >= s->finish)) {
            s->steps = t;
            return 0;
        }
    }
    float *x = s->offsets + 3 * (int64_t)t;
    if (t < s->prime_steps)
        memcpy(x, s->prime + 3 * (int64_t)t, 12);
    else
        draw(p->y, net->mixtures, s->bias, s->noise + 4 * (int64_t)t, x);
    for (int l = 0; l < net->layers; ++l) memcpy(p->in[l], x, 12);
    s->steps = a->t = t + 1;
    return s->steps < s->limit;
}

static void step(const network *net, slot *slots, int n) {
    int H = net->cells, V = net->symbols, L = net->layers;
    float *in[ROWS], *out[ROWS];
    for (int l = 0; l < L; ++l) {
        int own = 3 + V + (l ? H : 0);
        for (int r = 0; r < n; ++r) in[r] = slots[r].p.in[l], out[r] = slots[r].p.gates;
        product(net, n, net->weights[l], net->bias[l], 4 * H, padded(own + H), in, out);
        for (int r = 0; r < n; ++r) {
            const parts *p = &slots[r].p;
            float *h = p->hidden + l * H;
            cell(p->gates, p->cells + l * H, h, net->peepholes[l], H);
            memcpy(p->in[l] + own, h, 4 * H);
            if (l + 1 < L) memcpy(p->in[l + 1] + 3 + V, h, 4 * H);
        }
        if (l == 0 && net->components) {
            for (int r = 0; r < n; ++r) in[r] = slots[r].p.hidden, out[r] = slots[r].p.window;
            product(net, n, net->window_weights, net->window_bias, rounded(3 * net->components), padded(H), in, out);
            for (int r = 0; r < n; ++r) {
                const line *s = slots[r].s;
                const parts *p = &slots[r].p;
                window(net, s, p);
                int64_t t = slots[r].t;
                if (s->phi) memcpy(s->phi + t * (s->characters + 1), p->phi, 4 * (s->characters + 1));
                if (s->kappa) memcpy(s->kappa + t * net->components, p->kappa, 4 * net->components);
                float *w = p->in[0] + 3; /* equation 47; layer 1 reads it at the next step */
                memset(w, 0, 4 * V);
                for (int u = 0; u < s->characters; ++u) {
                    float weight = p->phi[u]; /* a denormal number would slow the products down a hundredfold */
                    w[s->text[u]] += weight < 1e-30f ? 0.0f : weight;
                }
                for (int m = 1; m < L; ++m) memcpy(p->in[m] + 3, w, 4 * V);
            }
        }
    }
    for (int r = 0; r < n; ++r) in[r] = slots[r].p.hidden, out[r] = slots[r].p.y;
    product(net, n, net->output_weights, net->output_bias, rounded(1 + 6 * net->mixtures), padded(L * H), in, out);
}

/* run `count` lines to their ends */
void sample(const network *net, line *lines, int32_t count) {
    slot slots[ROWS];
    int active = 0, next = 0;
    for (;;) {
        while (active < ROWS && next < count) {
            slot *a = &slots[active];
            a->s = &lines[next++];
            a->t = 0;
            lay_out(net, a->s->work, a->s->characters, &a->p);
            if (a->s->limit > 0) ++active;
        }
        if (active == 0) return;
        step(net, slots, active);
        for (int r = 0; r < active;)
            if (advance(net, &slots[r]))
                ++r;
            else
                slots[r] = slots[--active];
    }
}
