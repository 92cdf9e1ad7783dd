/* The passes over the bytes of a dump that take numpy longest; scan.py has them in numpy as well, says what
 * the arguments are, and has checked them. */
#include <stdint.h>
#include <string.h>

enum { BLOCK = 32 };

int64_t positions(const uint8_t *data, int64_t size, int byte, int64_t *out)
{
    int64_t n = 0;
    const uint8_t *at = data, *end = data + size;
    while (at < end && (at = memchr(at, byte, end - at)) != NULL)
        out[n++] = at++ - data;
    return n;
}

int has_controls(const uint8_t *data, int64_t size)
{
    uint8_t any = 0;
    for (int64_t i = 0; i < size; i++)
        any |= (data[i] < 32) & (data[i] != '\n') & (data[i] != '\t');
    return any;
}

static inline uint8_t *copy(const uint8_t *data, int64_t begin, int64_t end, uint8_t *out)
{
    memcpy(out, data + begin, end - begin);
    return out + (end - begin);
}

void cut(const uint8_t *data, int64_t n, const int64_t *begin, const int64_t *end, const int64_t *first,
         const int64_t *after, const int64_t *hole_begin, const int64_t *hole_end, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t at = begin[i];
        for (int64_t hole = first[i]; hole < after[i]; hole++) {
            out = copy(data, at, hole_begin[hole], out);
            at = hole_end[hole];
        }
        out = copy(data, at, end[i], out);
    }
}

/* Bytes that the entity of a character adds to a text. */
static inline uint8_t added(uint8_t c)
{
    return (c == '"') * 5 + (c == '&') * 4 + (c == '<' || c == '>') * 3;
}

int64_t escaped_size(const uint8_t *text, int64_t size)
{
    int64_t i = 0, total = size;
    for (; i + BLOCK <= size; i += BLOCK) {
        uint8_t more = 0; /* at most 5 * BLOCK, which it holds */
        for (int j = 0; j < BLOCK; j++)
            more += added(text[i + j]);
        total += more;
    }
    for (; i < size; i++)
        total += added(text[i]);
    return total;
}

static uint8_t *escape(const uint8_t *text, int64_t size, uint8_t *out)
{
    int64_t i = 0;
    while (i < size) {
        int64_t start = i;
        for (; i + BLOCK <= size; i += BLOCK) {
            uint8_t any = 0;
            for (int j = 0; j < BLOCK; j++)
                any |= added(text[i + j]);
            if (any)
                break;
        }
        while (i < size && !added(text[i]))
            i++;
        out = copy(text, start, i, out);
        if (i < size) {
            uint8_t c = text[i++];
            const char *entity = c == '"' ? "&quot;" : c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;";
            memcpy(out, entity, 1 + added(c));
            out += 1 + added(c);
        }
    }
    return out;
}

/* Each column is its bytes and n + 1 offsets into them. */
void rows(int64_t n, const uint8_t *text, const int32_t *text_at, const uint8_t *before, const int32_t *before_at,
          const uint8_t *after, const int32_t *after_at, const uint8_t *raw, const int32_t *raw_at, uint8_t *out,
          int32_t *offsets)
{
    uint8_t *start = out;
    for (int64_t i = 0; i < n; i++) {
        offsets[i] = out - start;
        if (raw_at[i] < raw_at[i + 1]) {
            out = copy(raw, raw_at[i], raw_at[i + 1], out);
        } else {
            out = copy(before, before_at[i], before_at[i + 1], out);
            out = escape(text + text_at[i], text_at[i + 1] - text_at[i], out);
            out = copy(after, after_at[i], after_at[i + 1], out);
        }
    }
    offsets[n] = out - start;
}
