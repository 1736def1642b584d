/*
 * See display.h. UTF-8 is decoded here because the C library decodes only ASCII in the C locale (cron, containers).
 * Widths come from wcwidth() if the locale knows the character, otherwise from a compact table.
 */
#include "ctl/base/display.h"

#include <assert.h>
#include <string.h>
#include <wchar.h>

size_t ctl_decode(const char *text, size_t len, int32_t *ret_point)
{
    assert(len);
    const unsigned char *s = (const unsigned char *)text;
    size_t need = s[0] < 0x80                   ? 1
                  : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                  : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                  : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                                : 0;
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (need == 1) {
        *ret_point = s[0];
        return 1;
    }
    *ret_point = -1;
    if (!need || need > len)
        return 1;
    int32_t point = s[0] & (0x7F >> need);
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 1;
        point = point << 6 | (s[i] & 0x3F);
    }
    if (point < least[need] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return 1;
    *ret_point = point;
    return need;
}

struct range {
    int32_t first, last;
};

static bool among(const struct range *ranges, size_t n, int32_t point)
{
    for (size_t i = 0; i < n; i++)
        if (point >= ranges[i].first && point <= ranges[i].last)
            return true;
    return false;
}

int ctl_point_width(int32_t point)
{
    if (point >= 0x20 && point < 0x7F)
        return 1;
    if (point < 0xA0)
        return point < 0 ? 1 : 0;
    int width = wcwidth((wchar_t)point);
    if (width >= 0)
        return width > 2 ? 2 : width;
    /* Unknown to the locale. The tables are short because they list entire blocks, which is only approximately right.
     */
    static const struct range none[] = {
        {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},   {0x0900, 0x0902},
        {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F},   {0x20D0, 0x20FF},
        {0x2060, 0x2064}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
    };
    static const struct range wide[] = {
        {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},   {0x26A1, 0x26A1},
        {0x2705, 0x2705},   {0x2728, 0x2728},   {0x274C, 0x274C},   {0x2E80, 0x303E},   {0x3041, 0x33FF},
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
        {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F004, 0x1F004},
        {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F64F}, {0x1F680, 0x1F6FF},
        {0x1F7E0, 0x1F7EB}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD},
    };
    if (among(none, sizeof(none) / sizeof(none[0]), point))
        return 0;
    return among(wide, sizeof(wide) / sizeof(wide[0]), point) ? 2 : 1;
}

int ctl_width(const char *clean)
{
    int width = 0;
    for (size_t left = strlen(clean); left;) {
        int32_t point;
        size_t used = ctl_decode(clean, left, &point);
        width += ctl_point_width(point);
        clean += used;
        left -= used;
    }
    return width;
}

void ctl_clean(struct ctl_text *out, const char *text)
{
    static const struct range unsafe[] = {
        {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},     {0x061C, 0x061C}, {0x200B, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xE000, 0xF8FF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE00FF},
    };
    for (size_t left = strlen(text); left;) {
        int32_t point;
        size_t used = ctl_decode(text, left, &point);
        const char *brief = point == '\n' ? "\\n" : point == '\t' ? "\\t" : point == '\r' ? "\\r" : NULL;
        if (brief)
            ctl_text_puts(out, brief);
        else if (point < 0)
            ctl_text_printf(out, "\\x%02x", (unsigned)(unsigned char)*text);
        else if (!among(unsafe, sizeof(unsafe) / sizeof(unsafe[0]), point))
            ctl_text_append(out, text, used);
        else
            ctl_text_printf(out, point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)point);
        text += used;
        left -= used;
    }
}

/* Bytes of the longest prefix of at most width columns, with the marks that combine with its last character. */
static size_t head_bytes(const char *clean, int width, int *ret_width)
{
    size_t len = strlen(clean), at = 0;
    int taken = 0;
    while (at < len) {
        int32_t point;
        size_t used = ctl_decode(clean + at, len - at, &point);
        int columns = ctl_point_width(point);
        if (taken + columns > width)
            break;
        taken += columns;
        at += used;
    }
    *ret_width = taken;
    return at;
}

int ctl_fit(struct ctl_text *out, const char *clean, int width, enum ctl_cut cut)
{
    int full = ctl_width(clean);
    if (full <= width) {
        ctl_text_puts(out, clean);
        return full;
    }
    if (width < 1)
        return 0;
    assert(width < full);
    int tail = cut == CTL_CUT_MIDDLE ? (width - 1) / 2 : cut == CTL_CUT_START ? width - 1 : 0;
    int taken, skipped;
    size_t head = head_bytes(clean, width - 1 - tail, &taken);
    ctl_text_append(out, clean, head);
    ctl_text_puts(out, "…");
    taken++;
    if (tail) {
        size_t skip = head_bytes(clean, full - tail, &skipped);
        if (full - skipped > tail) { /* skip a wide character that straddles the edge */
            int32_t point;
            skip += ctl_decode(clean + skip, strlen(clean + skip), &point);
            skipped += ctl_point_width(point);
        }
        ctl_text_puts(out, clean + skip);
        taken += full - skipped;
    }
    assert(taken <= width);
    return taken;
}

void ctl_wrap(struct ctl_text *out, const char *clean, int width, int indent)
{
    int room = width - indent > 10 ? width - indent : 10;
    while (*clean) {
        int taken;
        size_t n = head_bytes(clean, room, &taken), next;
        if (!n)
            n = strlen(clean);
        next = n;
        if (clean[n]) {
            size_t space = n;
            while (space > 0 && clean[space] != ' ')
                space--;
            if (space > 0) {
                n = space;
                next = space + 1;
            }
        }
        ctl_text_spaces(out, indent);
        ctl_text_append(out, clean, n);
        ctl_text_putc(out, '\n');
        clean += next;
    }
}
