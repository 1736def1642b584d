/*
 * libFuzzer target: lines out of a stream, against a model that sees the whole text at once. However the bytes are cut,
 * the same lines come out with the same numbers, and the same verdict; what is held is the unfinished line, and never
 * more than max_message.
 *
 * The input: a byte that is max_message, a byte whose low four bits say how many bytes of cuts follow, these, and the
 * stream. Three framers of one pool read it in turns: in one piece, byte by byte, and in pieces as the cuts say.
 * Nothing outlives an input, so that each finding repeats.
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

/* What the model says comes next. */
struct expected {
    enum tsd_frame frame; /* MORE: nothing does */
    size_t start;
    size_t len;
    uint64_t number;
};

struct reader {
    struct tsd_framer framer;
    const uint8_t *cuts; /* lengths of the pieces, over and over; NULL: all is one */
    size_t n_cuts;
    size_t cut;
    size_t fed;
    size_t at; /* how far the model has come, and the lines until there */
    uint64_t number;
    bool done;
};

static bool is_blank(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr(" \t\r", bytes[i]) || !bytes[i])
            return false;
    }
    return true;
}

static struct expected expect(const struct text *text, size_t at, uint64_t number)
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

static void take_line(struct reader *reader, const struct text *text, const char *line, size_t len)
{
    struct expected next = expect(text, reader->at, reader->number);
    CHECK(next.frame == TSD_FRAME_LINE);
    CHECK(len == next.len && memcmp(line, text->bytes + next.start, len) == 0);
    CHECK(reader->framer.line == next.number);
    reader->at = next.start + len + 1;
    reader->number = next.number;
}

static void take_verdict(struct reader *reader, const struct text *text, const char *line, size_t len)
{
    struct expected next = expect(text, reader->at, reader->number);
    CHECK(next.frame == TSD_FRAME_TOO_LARGE && reader->framer.line == next.number);
    CHECK(len > 0 && len <= next.len && memcmp(line, text->bytes + next.start, len) == 0);
    CHECK(next.start + len <= reader->fed && tsd_framer_held(&reader->framer) == 0);
    reader->done = true;
}

/*
 * All lines that end in what was fed are out, and of that only the unfinished one is held. The model goes on from its
 * beginning: the blank lines before it are done with.
 */
static void check_more(struct reader *reader, const struct text *text)
{
    struct expected next = expect(text, reader->at, reader->number);
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
    if (!reader->cuts)
        return left;
    uint8_t cut = reader->cuts[reader->cut++ % reader->n_cuts];
    size_t len = (size_t)(cut & 31) << (cut >> 5);
    return len < left ? len : left;
}

/* From memory that is as long as the piece and gone afterwards, so that the sanitizer sees a view kept too long. */
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
        take_line(reader, text, line, line_len);
    CHECK(frame == TSD_FRAME_MORE || frame == TSD_FRAME_TOO_LARGE);
    if (frame == TSD_FRAME_TOO_LARGE)
        take_verdict(reader, text, line, line_len);
    else
        check_more(reader, text);
    free(piece);
}

static void end(struct reader *reader, const struct text *text)
{
    const char *line;
    size_t len;
    if (tsd_framer_end(&reader->framer, &line, &len) == TSD_FRAME_LINE) {
        take_line(reader, text, line, len);
        CHECK(tsd_framer_end(&reader->framer, &line, &len) == TSD_FRAME_MORE);
    }
    CHECK(expect(text, reader->at, reader->number).frame == TSD_FRAME_MORE);
    reader->done = true;
}

/* One piece each in turn, so that the buffers of the pool wander between them. */
static void read_all(struct reader *readers, size_t n, const struct text *text)
{
    for (size_t left = n; left;) {
        left = 0;
        for (size_t i = 0; i < n; i++) {
            struct reader *reader = &readers[i];
            if (!reader->done && reader->fed == text->len)
                end(reader, text);
            else if (!reader->done)
                feed(reader, text);
            left += !reader->done;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t byte_by_byte[] = {1};
    if (size < 2)
        return 0;
    size_t n_cuts = data[1] & 15;
    if (n_cuts > size - 2)
        n_cuts = size - 2;
    bool moves = false; /* of lengths that are all 0 no end would come */
    for (size_t i = 0; i < n_cuts; i++)
        moves |= (data[2 + i] & 31) != 0;
    const struct text text = {
        .bytes = (const char *)data + 2 + n_cuts,
        .len = size - 2 - n_cuts,
        .max_message = data[0],
    };
    struct reader readers[] = {
        {.cuts = NULL},
        {.cuts = byte_by_byte, .n_cuts = 1},
        {.cuts = moves ? data + 2 : byte_by_byte, .n_cuts = moves ? n_cuts : 1},
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
