/* See output.h. */
#include "ctl/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int ctl_write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

int ctl_write(const char *bytes, size_t len, struct ctl_text *problem)
{
    if (!ctl_write_all(STDOUT_FILENO, bytes, len))
        return 0;
    if (errno != EPIPE)
        ctl_text_printf(problem, "cannot write the output: %s", strerror(errno));
    return -1;
}

static int receive(void *data, const char *bytes, size_t len)
{
    struct ctl_output *output = data;
    if (!len)
        return 0;
    if (output->keep && len > output->keep_max - output->keep->len) {
        ctl_text_printf(
            &output->problem,
            "the response is over %zu MiB, too large to lay out or check; request less (--last, --function), or use "
            "--format json without --fail-over",
            output->keep_max >> 20);
        return -1;
    }
    if (output->keep) {
        ctl_text_append(output->keep, bytes, len);
        if (output->keep->failed) {
            ctl_text_puts(&output->problem, "out of memory for the response; request less (--top, --last, --function)");
            return -1;
        }
    }
    if (!output->pass)
        return 0;
    if (!output->began && output->first && ctl_write(output->first, strlen(output->first), &output->problem))
        return -1;
    output->began = true;
    output->last = bytes[len - 1];
    return ctl_write(bytes, len, &output->problem);
}

struct ctl_sink ctl_output_sink(struct ctl_output *output)
{
    return (struct ctl_sink){.receive = receive, .data = output};
}

void ctl_output_deinit(struct ctl_output *output)
{
    ctl_text_deinit(&output->problem);
}
