/*
 * libFuzzer target: the framer, which splits a stream into lines, against a model that has the complete text. However
 * the bytes are split into pieces, the framer gives the same lines with the same numbers, and the same line is too
 * large. It holds only the unfinished line, and never more than max_message bytes.
 *
 * Input: a byte with max_message, a byte with the number of lengths in its low four bits, the lengths, the stream.
 * Three framers of one pool read it in turn: in one piece, byte by byte, and in pieces of the given lengths. No state
 * outlives an input, so every finding can be reproduced.
 */
#include "daemon/ingest/framer.h"
#include "tests/fuzz/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    const char *bytes;
    size_t len;
    size_t max_message;
};

/* The next frame according to the model. */
struct expected {
    enum tsd_frame frame; /* TSD_FRAME_MORE: there is none */
    size_t start;
    size_t len;
    uint64_t number;
};

struct reader {
    struct tsd_framer framer;
    const uint8_t *lengths; /* of the pieces, used cyclically; NULL: one piece */
    size_t n_lengths;
    size_t next_length;
    size_t fed;
    size_t at; /* the position of the model, and the number of lines before it */
    uint64_t number;
    bool ended;
};

static bool is_blank(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr(" \t\r", bytes[i]) || !bytes[i])
            return false;
    }
    return true;
}

static struct expected next_frame(const struct text *text, size_t at, uint64_t number)
{
    while (at < text->len) {
        size_t len = 0;
        while (at + len < text->len && text->bytes[at + len] != '\n')
            len++;
        number++;
        if (len > text->max_message)
            return (struct expected){TSD_FRAME_TOO_LARGE, at, len, number};
        if (!is_blank(text->bytes + at, len))
            return (struct expected){TSD_FRAME_LINE, at, len, number};
        at += len + 1;
    }
    return (struct expected){.frame = TSD_FRAME_MORE};
}

static void check_line(struct reader *reader, const struct text *text, const char *line, size_t len)
{
    struct expected next = next_frame(text, reader->at, reader->number);
    CHECK(next.frame == TSD_FRAME_LINE);
    CHECK(len == next.len && memcmp(line, text->bytes + next.start, len) == 0);
    CHECK(reader->framer.line == next.number);
    reader->at = next.start + len + 1;
    reader->number = next.number;
}

static void check_too_large(struct reader *reader, const struct text *text, const char *line, size_t len)
{
    struct expected next = next_frame(text, reader->at, reader->number);
    CHECK(next.frame == TSD_FRAME_TOO_LARGE && reader->framer.line == next.number);
    CHECK(len > 0 && len <= next.len && memcmp(line, text->bytes + next.start, len) == 0);
    CHECK(next.start + len <= reader->fed && tsd_framer_held(&reader->framer) == 0);
    reader->ended = true;
}

/*
 * The framer has given all lines that end within the bytes fed, and holds the rest. Moves the model to the beginning of
 * the unfinished line, past blank lines.
 */
static void check_more(struct reader *reader, const struct text *text)
{
    struct expected next = next_frame(text, reader->at, reader->number);
    CHECK(next.frame != TSD_FRAME_LINE || next.start + next.len >= reader->fed);
    for (size_t i = reader->at; i < reader->fed; i++) {
        if (text->bytes[i] == '\n') {
            reader->at = i + 1;
            reader->number++;
        }
    }
    size_t unfinished = reader->fed - reader->at;
    CHECK(reader->framer.line == reader->number);
    CHECK(tsd_framer_held(&reader->framer) == unfinished && unfinished <= text->max_message);
}

static size_t next_piece(struct reader *reader, const struct text *text)
{
    size_t left = text->len - reader->fed;
    if (!reader->lengths)
        return left;
    uint8_t code = reader->lengths[reader->next_length++ % reader->n_lengths];
    size_t len = (size_t)(code & 31) << (code >> 5);
    return len < left ? len : left;
}

/* The piece is in memory of its own, freed afterwards, so that the sanitizer detects views that are kept too long. */
static void feed(struct reader *reader, const struct text *text)
{
    size_t len = next_piece(reader, text);
    char *piece = malloc(len ? len : 1);
    const char *line;
    size_t line_len;
    enum tsd_frame frame;
    if (!piece)
        abort();
    memcpy(piece, text->bytes + reader->fed, len);
    reader->fed += len;
    tsd_framer_feed(&reader->framer, piece, len);
    while ((frame = tsd_framer_next(&reader->framer, text->max_message, &line, &line_len)) == TSD_FRAME_LINE)
        check_line(reader, text, line, line_len);
    CHECK(frame == TSD_FRAME_MORE || frame == TSD_FRAME_TOO_LARGE);
    if (frame == TSD_FRAME_TOO_LARGE)
        check_too_large(reader, text, line, line_len);
    else
        check_more(reader, text);
    free(piece);
}

static void end(struct reader *reader, const struct text *text)
{
    const char *line;
    size_t len;
    if (tsd_framer_end(&reader->framer, &line, &len) == TSD_FRAME_LINE) {
        check_line(reader, text, line, len);
        CHECK(tsd_framer_end(&reader->framer, &line, &len) == TSD_FRAME_MORE);
    }
    CHECK(next_frame(text, reader->at, reader->number).frame == TSD_FRAME_MORE);
    reader->ended = true;
}

/* Feeds one piece to each in turn, so that buffers of the pool move between the framers. */
static void read_all(struct reader *readers, size_t n, const struct text *text)
{
    for (size_t left = n; left;) {
        left = 0;
        for (size_t i = 0; i < n; i++) {
            struct reader *reader = &readers[i];
            if (!reader->ended && reader->fed == text->len)
                end(reader, text);
            else if (!reader->ended)
                feed(reader, text);
            left += !reader->ended;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t byte_by_byte[] = {1};
    if (size < 2)
        return 0;
    size_t n_lengths = data[1] & 15;
    if (n_lengths > size - 2)
        n_lengths = size - 2;
    bool usable = false; /* if all lengths are 0, reading would not end */
    for (size_t i = 0; i < n_lengths; i++)
        usable |= (data[2 + i] & 31) != 0;
    const struct text text = {
        .bytes = (const char *)data + 2 + n_lengths,
        .len = size - 2 - n_lengths,
        .max_message = data[0],
    };
    struct reader readers[] = {
        {.lengths = NULL},
        {.lengths = byte_by_byte, .n_lengths = 1},
        {.lengths = usable ? data + 2 : byte_by_byte, .n_lengths = usable ? n_lengths : 1},
    };
    enum { N = sizeof(readers) / sizeof(*readers) };
    struct tsd_framer_pool pool = {.n = 0};
    for (size_t i = 0; i < N; i++)
        tsd_framer_init(&readers[i].framer, &pool);
    read_all(readers, N, &text);
    CHECK(pool.n <= N);
    for (size_t i = 0; i < N; i++) {
        tsd_framer_deinit(&readers[i].framer);
        tsd_framer_deinit(&readers[i].framer);
    }
    tsd_framer_pool_deinit(&pool);
    tsd_framer_pool_deinit(&pool);
    return 0;
}
